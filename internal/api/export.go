package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
)

// file is an answer that is no JSON and is kept by whoever asked for it.
type file struct {
	name, media string
	body        []byte
}

// exportBatch is how many decisions are turned into text at a time: they are large while they are read.
const exportBatch = 200

// exportAudit returns all decisions that match as one file.
func (s *server) exportAudit(c call, q records.DecisionQuery, format string) (any, error) {
	var out bytes.Buffer
	table := csv.NewWriter(&out)
	if format == "csv" {
		_ = table.Write(csvHead) // a buffer takes everything
	}
	q.Limit = exportBatch
	for more := true; more; {
		found, next, err := s.o.Records.FindDecisions(c.Context(), q)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			q.After = records.KeyOf(d)
			if format == "csv" {
				_ = table.Write([]string{
					d.Time.Format(time.RFC3339Nano), d.Model, strconv.FormatUint(uint64(d.Release), 10), strconv.FormatUint(d.Number, 10),
					string(d.What), string(d.Step), d.From.String(), d.To.String(), string(d.Phase), cell(d.By), d.Role, d.Address, cell(d.Reason), d.Hash,
				})
				continue
			}
			line, err := json.Marshal(d)
			if err != nil {
				return nil, err
			}
			out.Write(append(line, '\n'))
		}
		more = next
	}
	table.Flush()
	name := "audit"
	if q.Model != "" {
		name += "-" + q.Model
	}
	if format == "csv" {
		return file{name + ".csv", "text/csv; charset=utf-8", out.Bytes()}, nil
	}
	return file{name + ".jsonl", "application/x-ndjson", out.Bytes()}, nil
}

var csvHead = []string{"time", "model", "release", "number", "what", "step", "from", "to", "phase", "by", "role", "address", "reason", "hash"}

// cell keeps a spreadsheet from taking what a person wrote for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
