package compare

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// Sample is the outputs of one version.
type Sample struct {
	Name   string
	Values []string
	Labels []string // nil, or one per value; see Options.Truth
}

// Source says where values and labels are in a file.
type Source struct {
	Column string // CSV: the values' column, by its name in the header or its number from 1
	Path   string // JSON Lines: the values' path
	Label  string // column or path of the labels; "": none
}

const (
	maxValues = 5_000_000
	maxLine   = 1 << 20 // bytes of one line
)

// Read reads a sample. Column makes the file a CSV and Path makes it JSON Lines; without either the name decides: .csv is a CSV of one
// column, everything else is text with one value per line. Empty lines and empty values are left out. Errors name the line.
func Read(name string, r io.Reader, s Source) (Sample, error) {
	out := Sample{Name: name}
	var err error
	switch {
	case s.Column != "" && s.Path != "":
		return out, errors.New("a file has either columns or paths: give --column or --path, not both")
	case s.Path != "":
		err = out.readJSON(r, s)
	case s.Column != "" || strings.EqualFold(filepath.Ext(name), ".csv"):
		err = out.readCSV(r, s)
	case s.Label != "":
		return out, fmt.Errorf("%s: text has no labels: give --column or --path", name)
	default:
		err = eachLine(r, func(_ int, line []byte) error { return out.add(string(line), "", false) })
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	if len(out.Values) == 0 {
		return out, fmt.Errorf("%s: no outputs", name)
	}
	return out, nil
}

func (s *Sample) add(value, label string, labelled bool) error {
	value, label = strings.TrimSpace(value), strings.TrimSpace(label)
	if value == "" || labelled && label == "" {
		return nil
	}
	if len(s.Values) >= maxValues {
		return fmt.Errorf("more than %d outputs: take a random part of them", maxValues)
	}
	s.Values = append(s.Values, value)
	if labelled {
		s.Labels = append(s.Labels, label)
	}
	return nil
}

func eachLine(r io.Reader, f func(n int, line []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for sc.Scan() {
		n++
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		if err := f(n, sc.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes", n+1, maxLine)
	}
	return sc.Err()
}

func (s *Sample) readJSON(r io.Reader, src Source) error {
	return eachLine(r, func(n int, line []byte) error {
		if !gjson.ValidBytes(line) {
			return fmt.Errorf("line %d is not JSON", n)
		}
		v := gjson.GetBytes(line, strings.TrimPrefix(src.Path, "$."))
		if !v.Exists() || v.Type == gjson.Null {
			return nil
		}
		if v.IsObject() || v.IsArray() {
			return fmt.Errorf("line %d: %s is not a single value", n, src.Path)
		}
		label := ""
		if src.Label != "" {
			label = gjson.GetBytes(line, strings.TrimPrefix(src.Label, "$.")).String()
		}
		return s.add(v.String(), label, src.Label != "")
	})
}

func (s *Sample) readCSV(r io.Reader, src Source) error {
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.ReuseRecord = -1, true
	header, err := c.Read()
	if err != nil {
		return fmt.Errorf("no header: %w", err)
	}
	at, err := columnOf(header, src.Column)
	if err != nil {
		return err
	}
	label := -1
	if src.Label != "" {
		if label, err = columnOf(header, src.Label); err != nil {
			return err
		}
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if at >= len(row) || label >= len(row) {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("line %d has %d columns only", line, len(row))
		}
		word := ""
		if label >= 0 {
			word = row[label]
		}
		if err := s.add(row[at], word, label >= 0); err != nil {
			return err
		}
	}
}

// columnOf finds a column by name or by number; "" is the only one.
func columnOf(header []string, name string) (int, error) {
	for i, h := range header {
		if strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")) == name && name != "" {
			return i, nil
		}
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(header) {
		return n - 1, nil
	}
	if name == "" && len(header) == 1 {
		return 0, nil
	}
	return 0, fmt.Errorf("which column? --column is one of %s", strings.Join(header, ", "))
}
