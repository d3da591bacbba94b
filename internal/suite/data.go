package suite

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of a data file.
const (
	maxRows    = 100_000
	maxColumns = 1_000
	maxRowSize = 1 << 20
)

// table is a data file.
type table struct {
	columns []string // sorted
	rows    []row
}

func (t *table) has(column string) bool {
	_, ok := slices.BinarySearch(t.columns, column)
	return ok
}

// parseTable reads CSV with a header, JSON Lines by the name's ending, or with fields binary records.
func parseTable(name string, data []byte, fields []Field) (*table, error) {
	if strings.ToLower(path.Ext(name)) == ".gz" {
		var err error
		if data, err = unpack(data); err != nil {
			return nil, err
		}
		name = name[:len(name)-len(".gz")]
	}
	if len(fields) > 0 {
		return parseRecords(data, fields)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	read := parseCSV
	switch strings.ToLower(path.Ext(name)) {
	case ".jsonl", ".ndjson":
		read = parseJSONL
	case ".csv":
	case ".txt":
		read = parseLines
	default:
		return nil, errors.New("its name ends in none of .csv, .jsonl, .ndjson and .txt, and record does not say what is in it")
	}
	t, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(t.rows) == 0 {
		return nil, errors.New("it has no rows")
	}
	slices.Sort(t.columns)
	return t, nil
}

func parseCSV(data []byte) (*table, error) {
	r := csv.NewReader(bytes.NewReader(data))
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	}
	if err != nil {
		return nil, err
	}
	if len(header) > maxColumns {
		return nil, fmt.Errorf("it has %d columns, at most %d are read", len(header), maxColumns)
	}
	t := &table{}
	for _, c := range header {
		c = strings.TrimSpace(c)
		if c == "" || slices.Contains(t.columns, c) {
			return nil, fmt.Errorf("the header has the column %q twice or without a name", clean(c, 40))
		}
		t.columns = append(t.columns, c)
	}
	names := slices.Clone(t.columns)
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		if len(t.rows) == maxRows {
			return nil, fmt.Errorf("it has more than %d rows", maxRows)
		}
		values := make(map[string]any, len(names))
		for i, c := range names {
			values[c] = typed(rec[i])
		}
		t.rows = append(t.rows, row{index: len(t.rows), values: values})
	}
}

// typed gives a cell of CSV the type that it looks like: empty is null, a JSON number a number, true and
// false booleans, all else text (so does 007, which is no JSON number).
func typed(cell string) any {
	switch cell {
	case "":
		return nil
	case "true":
		return true
	case "false":
		return false
	}
	if c := cell[0]; (c == '-' || c >= '0' && c <= '9') && len(cell) <= 64 && json.Valid([]byte(cell)) {
		return json.Number(cell)
	}
	return cell
}

func parseJSONL(data []byte) (*table, error) {
	t := &table{}
	known := map[string]bool{}
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, maxRowSize)
	for line := 1; s.Scan(); line++ {
		text := bytes.TrimSpace(s.Bytes())
		if len(text) == 0 {
			continue
		}
		if len(t.rows) == maxRows {
			return nil, fmt.Errorf("it has more than %d rows", maxRows)
		}
		values, err := decodeJSON(text)
		object, ok := values.(map[string]any)
		if err != nil || !ok {
			return nil, fmt.Errorf("line %d is no JSON object", line)
		}
		for name := range object {
			if !known[name] {
				known[name] = true
				t.columns = append(t.columns, name)
			}
		}
		if len(known) > maxColumns {
			return nil, fmt.Errorf("its objects have more than %d names", maxColumns)
		}
		t.rows = append(t.rows, row{index: len(t.rows), values: object})
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("a line is longer than %d bytes: %w", maxRowSize, err)
	}
	return t, nil
}

// parseLines reads a text a row: its column is line. Empty lines are left out.
func parseLines(data []byte) (*table, error) {
	t := &table{columns: []string{"line"}}
	for text := range strings.Lines(string(data)) {
		text = strings.TrimRight(text, "\r\n")
		if strings.TrimSpace(text) == "" {
			continue
		}
		if len(t.rows) == maxRows {
			return nil, fmt.Errorf("it has more than %d rows", maxRows)
		}
		t.rows = append(t.rows, row{index: len(t.rows), values: map[string]any{"line": text}})
	}
	return t, nil
}

// decodeJSON reads one JSON value, numbers as json.Number.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

// sample draws n rows without replacement, in the order of the file; n of 0 or beyond the file takes all.
func (t *table) sample(n int, seed uint64) []row {
	if n <= 0 || n >= len(t.rows) {
		return t.rows
	}
	const stream = 0x7375697465 // any constant: the second half of the generator's state
	picked := rand.New(rand.NewPCG(seed, stream)).Perm(len(t.rows))[:n]
	slices.Sort(picked)
	out := make([]row, n)
	for i, at := range picked {
		out[i] = t.rows[at]
	}
	return out
}

// number is a value as a float.
func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	return f, err == nil
}

// clean shortens text from outside to at most n bytes and replaces what a terminal or a report could
// misread.
func clean(s string, n int) string {
	if len(s) > 4*n {
		s = s[:4*n] // what follows is cut anyway
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || !strconv.IsPrint(r):
			return '?'
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= n {
		return s
	}
	cut := n
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
