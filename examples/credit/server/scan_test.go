package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"unicode/utf8"
)

// twin splits a text with encoding/json, in the words of scanner.
func twin(tb testing.TB, data []byte) (list []string) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			tb.Fatalf("%q: %v", data, err)
		}
		switch v := t.(type) {
		case json.Delim:
			list = append(list, v.String())
		case string:
			list = append(list, fmt.Sprintf("%q", v))
		case json.Number:
			list = append(list, "0"+v.String())
		case bool:
			list = append(list, fmt.Sprint(v))
		case nil:
			list = append(list, "null")
		}
	}
}

func scanAll(data []byte) (list []string) {
	s := scanner{data: data}
	for {
		switch t := s.next(); t.kind {
		case end:
			return list
		case text:
			list = append(list, fmt.Sprintf("%q", t.text))
		case number:
			list = append(list, "0"+string(t.text))
		case null, yes, no:
			list = append(list, string(t.text))
		default:
			list = append(list, string(rune(t.kind)))
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e+3,{"b":null}],"c":true,"":false}`, `"\u00e9\\\"\n,:"`, `[]`, ` 0 `, `{"a\"b" : "c\\"}`, `["\ud800","}"]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) || !json.Valid(data) {
			return
		}
		got, want := scanAll(data), twin(t, data)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %q, want %q", data, got, want)
		}
		s := scanner{data: data}
		s.skipValue()
		if k := s.next().kind; k != end {
			t.Errorf("%q: %q is left after its only value", data, k)
		}
	})
}
