package suite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// maxBundle bounds a suite with all its data files, in bytes.
const maxBundle = 6 << 20

// Suite is a checked suite, ready to run. It is never changed, so several runs may share it.
type Suite struct {
	Name string
	Spec Spec // as written

	source      []byte            // the Suite file
	files       map[string][]byte // what it names, by path
	functional  []*functionalCase
	performance []*performanceCase
	exceptions  []*exceptionCase
}

// Cases is the number of cases of the file; gates and parts of batteries add more results.
func (s *Suite) Cases() int { return len(s.functional) + len(s.performance) + len(s.exceptions) }

// Load reads a Suite file and the data files that it names, which must lie in its folder or below, also
// through links. All faults of the file are reported at once, as an error whose cause is release.Faults.
func Load(file string) (*Suite, error) {
	root, name, err := openFolder(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only read from
	s, faults := loadFS(root.FS(), name, file)
	return s, faults.Err()
}

// openFolder confines reading to the folder of a file.
func openFolder(file string) (*os.Root, string, error) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, "", release.NotFound("read suite", "%s", reason(err)).Fix("name a Suite file that exists, not %s", file)
	}
	return root, filepath.Base(file), nil
}

// loadFS reads the suite name in the root of fsys; shown is how faults call it.
func loadFS(fsys fs.FS, name, shown string) (*Suite, release.Faults) {
	data, err := readFile(fsys, name, release.MaxFileBytes)
	if err != nil {
		return nil, release.Faults{{File: shown, Msg: err.Error(), Remedy: "name a Suite file that exists"}}
	}
	return parse(shown, data, func(p string) ([]byte, error) { return readFile(fsys, p, maxBundle) })
}

// readFile reads a regular file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %s", reason(err))
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), limit)
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %s", reason(err))
	}
	return data, nil
}

// reason is a file error without the path, which the fault names anyway.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// Lint checks a Suite file by itself: everything but the data files. name is how faults call it.
func Lint(name string, data []byte) release.Faults {
	_, faults := parse(name, data, nil)
	return faults
}

// parse reads a suite. Without read, data files are not looked at and the suite can't be run.
func parse(name string, data []byte, read func(string) ([]byte, error)) (*Suite, release.Faults) {
	f, at, faults := release.DecodeStrict[File](name, data, release.KindSuite)
	s := &Suite{Name: f.Metadata.Name, Spec: f.Spec, source: data, files: map[string][]byte{}}
	if !at.Faulty("") {
		c := &checker{at: at, suite: s, read: read, tables: map[string]*table{}, names: map[string]bool{}}
		c.all()
		faults = append(faults, c.faults...)
	}
	slices.SortStableFunc(faults, func(a, b release.FileFault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if faults.Err() != nil {
		return nil, faults
	}
	return s, faults
}

// checker turns the file into cases and collects what is wrong with it.
type checker struct {
	at     *release.Positions
	suite  *Suite
	read   func(string) ([]byte, error) // nil: data files are not looked at
	size   int                          // bytes of data files so far
	tables map[string]*table
	names  map[string]bool // family/name of the cases so far
	faults release.Faults
}

// fail reports a fault of a field, once.
func (c *checker) fail(path, remedy, format string, args ...any) {
	if !c.at.Faulty(path) {
		c.faults = append(c.faults, c.at.Fault(path, remedy, format, args...))
	}
}

// file reads a file that the suite names; nil if it can't, after saying so, or if files are not looked at.
func (c *checker) file(at, name string) []byte {
	clear := path.Clean(name)
	if !fs.ValidPath(clear) || strings.Contains(name, `\`) {
		c.fail(at, "name a file in the suite's folder, like data/cases.csv", "%q is outside of the suite's folder", clean(name, 100))
		return nil
	}
	if c.read == nil {
		return nil
	}
	if data, ok := c.suite.files[clear]; ok {
		return data
	}
	data, err := c.read(clear)
	if err != nil {
		c.fail(at, "put the file there or correct its name", "%s: %v", clean(name, 100), err)
		return nil
	}
	if c.size += len(data); c.size > maxBundle {
		c.fail(at, "use smaller data files", "the suite's files have more than %d bytes together", maxBundle)
		return nil
	}
	c.suite.files[clear] = data
	return data
}

// table reads a data file.
func (c *checker) table(at, name string, fields []Field) *table {
	data := c.file(at, name)
	if data == nil && (c.read == nil || c.at.Faulty(at)) {
		return nil
	}
	clear := path.Clean(name)
	if len(fields) > 0 {
		clear += fmt.Sprint(fields)
	}
	if t, ok := c.tables[clear]; ok {
		return t
	}
	t, err := parseTable(name, data, fields)
	if err != nil {
		c.fail(at, "correct the data file", "%s: %v", clean(name, 100), err)
		return nil
	}
	c.tables[clear] = t
	return t
}
