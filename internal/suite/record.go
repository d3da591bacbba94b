package suite

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of binary data files.
const (
	maxUnpacked    = 64 << 20
	maxRecordBytes = maxBody
	maxFields      = 100
)

// unpack reads gzip.
func unpack(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("it ends in .gz and is not gzip")
	}
	out, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil {
		return nil, errors.New("its gzip is damaged")
	}
	if len(out) > maxUnpacked {
		return nil, fmt.Errorf("unpacked it has more than %d bytes", maxUnpacked)
	}
	return out, nil
}

// record checks the fields of a binary file.
func (c *checker) record(at string, fields []Field) {
	if len(fields) > maxFields {
		c.fail(at, "name fewer", "it has %d fields, at most %d are read", len(fields), maxFields)
	}
	seen := map[string]bool{}
	for i, f := range fields {
		place := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case f.Name == "" || seen[f.Name] || f.Name != clean(f.Name, 100):
			c.fail(place+".name", "give each field its own short name", "%q is no name of a field", clean(f.Name, 40))
		case f.Bytes < 1 || f.Bytes > maxRecordBytes:
			c.fail(place+".bytes", "write how many bytes it has", "%d is not between 1 and %d", f.Bytes, maxRecordBytes)
		case f.As == FieldNumber && f.Bytes > 8:
			c.fail(place+".bytes", "write 1 to 8", "a number of %d bytes is not read", f.Bytes)
		}
		seen[f.Name] = true
	}
}

// parseRecords reads records of one length, one after the other. Fields have been checked.
func parseRecords(data []byte, fields []Field) (*table, error) {
	size := 0
	t := &table{}
	for _, f := range fields {
		if f.Bytes < 1 || f.Bytes > maxRecordBytes || size > maxUnpacked {
			return nil, errors.New("its record has no sound size")
		}
		size += f.Bytes
		t.columns = append(t.columns, f.Name)
	}
	switch {
	case len(data) == 0:
		return nil, errors.New("it is empty")
	case len(data)%size != 0:
		return nil, fmt.Errorf("its %d bytes are no whole number of records of %d", len(data), size)
	case len(data)/size > maxRows:
		return nil, fmt.Errorf("it has more than %d records", maxRows)
	}
	for len(data) > 0 {
		values := make(map[string]any, len(fields))
		for _, f := range fields {
			values[f.Name] = f.read(data[:f.Bytes])
			data = data[f.Bytes:]
		}
		t.rows = append(t.rows, row{index: len(t.rows), values: values})
	}
	sortBy(t.columns, func(s string) string { return s })
	return t, nil
}

func (f Field) read(b []byte) any {
	switch {
	case f.As == FieldText:
		b, _, _ = bytes.Cut(b, []byte{0})
		return strings.ToValidUTF8(string(b), string(utf8.RuneError))
	case f.As == FieldNumber || f.As == "" && f.Bytes == 1:
		v := uint64(0)
		for i := len(b) - 1; i >= 0; i-- {
			v = v<<8 | uint64(b[i])
		}
		return json.Number(strconv.FormatUint(v, 10))
	}
	return binary(b)
}

// binary is a value of bytes; as text it is base64.
type binary []byte

// MarshalJSON implements json.Marshaler.
func (b binary) MarshalJSON() ([]byte, error) { return json.Marshal(b.text()) }

func (b binary) text() string { return base64.StdEncoding.EncodeToString(b) }

// asBytes is a column's value as a body: bytes as they are, a text as base64.
func asBytes(r *row, column string) ([]byte, error) {
	switch v := r.values[column].(type) {
	case binary:
		return v, nil
	case string:
		b, err := base64.StdEncoding.DecodeString(v)
		if err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("row %d: column %s is neither a field of bytes nor base64", r.index, column)
}
