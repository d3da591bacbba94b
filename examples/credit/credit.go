package credit

import (
	"embed"
	"fmt"

	"sluice.dev/sluice/examples/credit/scoring"
)

// Data holds the folder data: models, applicants, licence and provenance. Read only.
//
//go:embed data
var Data embed.FS

// Files holds what the commands of Sluice are given: the Model file, its suite and the data that the suite
// names. Read only.
//
//go:embed model.yaml suite.yaml data/credit_test.csv
var Files embed.FS

// FieldCount is the number of fields that describe an applicant.
const FieldCount = 13

// Field is one fact about an applicant. Text fields hold a category, the others a number.
type Field struct {
	Name string
	Text bool
}

// Fields returns the fields of an applicant in the order of the data file: counts of years (seniority, age)
// and months (time, the asked duration), categories, and amounts of money; income and expenses are per month.
func Fields() [FieldCount]Field {
	return [FieldCount]Field{
		{Name: "seniority"},
		{Name: "home", Text: true},
		{Name: "time"},
		{Name: "age"},
		{Name: "marital", Text: true},
		{Name: "records", Text: true},
		{Name: "job", Text: true},
		{Name: "expenses"},
		{Name: "income"},
		{Name: "assets"},
		{Name: "debt"},
		{Name: "amount"},
		{Name: "price"},
	}
}

// Versions returns the names that Load knows, oldest first.
func Versions() []string { return []string{"v1", "v2", "v3"} }

// Load reads one of the embedded models: v1 (logistic, 6 fields), v2 (boosted trees, 13 fields) or v3 (like
// v2, but trained on other units than it is served: a bad release).
func Load(version string) (*scoring.Model, error) {
	name := map[string]string{
		"v1": "credit_v1_logistic.json",
		"v2": "credit_v2_gbt.json",
		"v3": "credit_v3_skewed_gbt.json",
	}[version]
	if name == "" {
		return nil, fmt.Errorf("credit: no version %q, want one of %v", version, Versions())
	}
	data, err := Data.ReadFile("data/" + name)
	if err != nil {
		return nil, fmt.Errorf("credit: version %s: %w", version, err)
	}
	m, err := scoring.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("credit: version %s: %w", version, err)
	}
	return m, nil
}
