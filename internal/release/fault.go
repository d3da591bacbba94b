package release

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// FileFault is one thing that is wrong, or doubtful, in a file: where, what, and what to do about it.
type FileFault struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // from 1; 0: unknown
	Col     int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"` // path of the field, without a leading "spec."
	Msg     string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
	Warning bool   `json:"warning,omitempty"` // the file can be used, but hardly as its writer thinks
}

// String is the fault on one line: "credit.yaml:12:5: metrics[2].margin: what (remedy)".
func (f FileFault) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(f.File, "file"))
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Col)
	}
	b.WriteString(": ")
	if f.Warning {
		b.WriteString("warning: ")
	}
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Msg)
	if f.Remedy != "" {
		b.WriteString(" (" + f.Remedy + ")")
	}
	return b.String()
}

// Faults is everything that is wrong in one file, in the order of its lines. Warnings are among them.
type Faults []FileFault

// maxFaults bounds how many faults one file may have told.
const maxFaults = 200

// Error lists the faults, one per line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Errors are the faults that make the file unusable.
func (f Faults) Errors() Faults { return f.filter(false) }

// Warnings are the faults that do not.
func (f Faults) Warnings() Faults { return f.filter(true) }

func (f Faults) filter(warning bool) (out Faults) {
	for _, fault := range f {
		if fault.Warning == warning {
			out = append(out, fault)
		}
	}
	return out
}

// Err is nil if the file can be used, else an Error of kind invalid whose cause is the Faults that are
// no warnings.
func (f Faults) Err() error {
	bad := f.Errors()
	if len(bad) == 0 {
		return nil
	}
	count := "1 fault"
	if len(bad) > 1 {
		count = strconv.Itoa(len(bad)) + " faults"
	}
	return &Error{Kind: KindInvalid, Op: "read " + cmp.Or(bad[0].File, "file"), Msg: count, Cause: bad}
}

// Sorted puts the faults in the order of their places and bounds their number: call it once, last.
func (f Faults) Sorted() Faults {
	f = slices.Clone(f)
	slices.SortStableFunc(f, func(a, b FileFault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if len(f) > maxFaults {
		more := FileFault{File: f[0].File, Msg: fmt.Sprintf("%d more faults are not shown", len(f)-maxFaults)}
		f = append(f[:maxFaults:maxFaults], more)
	}
	return f
}

// Pos is a place in a file, both numbers from 1.
type Pos struct{ Line, Col int }

// Positions knows where in its file each field was written, so that whoever finds a fault in a decoded
// value can name the line. Paths are written "spec.metrics[2].margin" and "spec.versions.v1.url".
type Positions struct {
	file   string
	at     map[string]Pos
	faulty map[string]bool // has a fault of its own
	unread map[string]bool // has no meaningful value, nor has anything inside it
}

// At is the place of a field or, if it was not written, of the innermost thing around it that was.
func (p *Positions) At(path string) Pos {
	for p != nil {
		if pos, ok := p.at[path]; ok {
			return pos
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return p.at[""]
		}
		path = path[:cut]
	}
	return Pos{}
}

// Written says whether the file has the field, whatever its value.
func (p *Positions) Written(path string) bool {
	if p == nil {
		return false
	}
	_, ok := p.at[path]
	return ok
}

// Faulty says whether a fault of the field has been found already, or whether the field or something
// around it could not be read: its value need not be complained about (again).
func (p *Positions) Faulty(path string) bool {
	if p == nil {
		return false
	}
	if p.faulty[path] {
		return true
	}
	for {
		if p.unread[path] {
			return true
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return p.unread[""]
		}
		path = path[:cut]
	}
}

// Fault makes the fault of a field and marks the field as faulty.
func (p *Positions) Fault(path, remedy, format string, args ...any) FileFault {
	f := FileFault{Field: strings.TrimPrefix(path, "spec."), Msg: fmt.Sprintf(format, args...), Remedy: remedy}
	if p != nil {
		pos := p.At(path)
		f.File, f.Line, f.Col = p.file, pos.Line, pos.Col
		p.faulty[path] = true
	}
	return f
}

// faultyBelow says whether something inside the field has been found faulty.
func (p *Positions) faultyBelow(path string) bool {
	for at := range p.faulty {
		if len(at) > len(path) && strings.HasPrefix(at, path) && (at[len(path)] == '.' || at[len(path)] == '[') {
			return true
		}
	}
	return false
}
