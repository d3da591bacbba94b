package api

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// schemas turns Go types into JSON Schema (draft 2020-12), as encoding/json writes them. Named structs
// are written once and referred to.
type schemas struct {
	named object
}

func newSchemas() *schemas { return &schemas{named: object{}} }

var (
	numbersType  = reflect.TypeFor[Numbers]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextMarshaler]()
	jsonType     = reflect.TypeFor[json.Marshaler]()
)

// of returns the schema of a value's type.
func (g *schemas) of(v any) object { return g.schema(reflect.TypeOf(v)) }

func (g *schemas) schema(t reflect.Type) object {
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == durationType:
		return object{"type": "integer", "description": "nanoseconds"}
	case t.Kind() == reflect.Pointer:
		return g.schema(t.Elem())
	case t == numbersType:
		return object{"type": "array", "items": object{"type": []any{"number", "null"}}}
	case t.Implements(jsonType) || reflect.PointerTo(t).Implements(jsonType):
		return object{}
	case t.Implements(textType) || reflect.PointerTo(t).Implements(textType):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Slice, reflect.Array:
		return g.list(t)
	case reflect.Map:
		return object{"type": []any{"object", "null"}, "additionalProperties": g.schema(t.Elem())}
	case reflect.Struct:
		return g.structure(t)
	default:
		return object{} // an interface: anything
	}
}

// list may be null: Go writes a nil slice so.
func (g *schemas) list(t reflect.Type) object {
	if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
		return object{"type": []any{"string", "null"}, "contentEncoding": "base64"}
	}
	return object{"type": []any{"array", "null"}, "items": g.schema(t.Elem())}
}

// structure refers to a named struct, and writes it when it is met first.
func (g *schemas) structure(t reflect.Type) object {
	name := schemaName(t)
	ref := object{"$ref": "#/components/schemas/" + name}
	if _, ok := g.named[name]; ok {
		return ref
	}
	body := object{"type": "object"}
	g.named[name] = body // before its fields, which may refer to it
	properties := object{}
	required := g.fields(t, properties)
	body["properties"] = properties
	if len(required) > 0 {
		body["required"] = required
	}
	return ref
}

// fields adds a struct's fields, and those of the structs that it embeds, and returns the names of those that are always
// there.
func (g *schemas) fields(t reflect.Type, properties object) (required []any) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		key, options, _ := strings.Cut(tag, ",")
		switch {
		case !f.IsExported() || tag == "-":
			continue
		case f.Anonymous && key == "" && f.Type.Kind() == reflect.Struct:
			required = append(required, g.fields(f.Type, properties)...)
			continue
		case key == "":
			key = f.Name
		}
		properties[key] = g.schema(f.Type)
		if !strings.Contains(options, "omit") {
			required = append(required, key)
		}
	}
	return required
}

// schemaName is the type's name, with its package where two packages may use the same one.
func schemaName(t reflect.Type) string {
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	name := t.Name()
	if base, arg, ok := strings.Cut(name, "["); ok { // Page[sluice.dev/sluice/internal/api.Model]
		arg = strings.TrimSuffix(arg, "]")
		name = base + "Of" + arg[strings.LastIndex(arg, ".")+1:]
	}
	if pkg == "api" {
		return name
	}
	return pkg + "." + name
}
