package cli

import "encoding/json"

// line is the outcome as the gateway reads it. A value that reads as a number or a truth is one.
func (o told) line() ([]byte, error) {
	var v any = o.value
	var parsed any
	if err := json.Unmarshal([]byte(o.value), &parsed); err == nil {
		switch parsed.(type) {
		case float64, bool:
			v = parsed
		}
	}
	fields := map[string]any{"metric": o.metric, "value": v}
	for name, text := range map[string]string{"id": o.id, "model": o.model, "unit": o.unit, "key": o.key} {
		if text != "" {
			fields[name] = text
		}
	}
	return json.Marshal(fields)
}
