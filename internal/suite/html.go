package suite

import (
	"embed"
	html "html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed report.gohtml
var pages embed.FS

var page = html.Must(html.New("report.gohtml").Funcs(html.FuncMap{
	"round":   func(s float64) string { return round(time.Duration(s * float64(time.Second))) },
	"when":    func(t time.Time) string { return t.Format("2006-01-02 15:04:05 UTC") },
	"numbers": numberList,
}).ParseFS(pages, "report.gohtml"))

// named is a number with its name.
type named struct{ Name, Value string }

func numberList(m map[string]float64) []named {
	out := make([]named, 0, len(m))
	for name, v := range m {
		out = append(out, named{name, strconv.FormatFloat(v, 'g', 5, 64)})
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// WriteHTML writes the report as one page that needs nothing else: no script, no font, no request.
func (r *Report) WriteHTML(w io.Writer) error {
	return page.Execute(w, struct {
		*Report
		Families []Family
	}{r, []Family{FamilyFunctional, FamilyPerformance, FamilyException}})
}
