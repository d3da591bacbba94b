package release

//go:generate go test -run TestSchemas -rewrite .

// ModelSchema is the JSON Schema (draft 2020-12) of the Model file. It accepts every valid file; of the
// invalid ones it refuses those whose fault lies in one field, so that an editor can complete and mark
// while one types. ParseModel checks all the rest.
//
// The schemas are generated from the Go types and their comments by TestSchemas, which also fails when
// they are not current. Generating them here would put a Go parser into the binary.
func ModelSchema() []byte { return []byte(modelSchema) }

// ConfigSchema is the JSON Schema (draft 2020-12) of the Config file.
func ConfigSchema() []byte { return []byte(configSchema) }
