package images_test

import (
	"strings"
	"testing"

	"sluice.dev/sluice/examples/images"
)

func TestParseNetworkNamesTheFault(t *testing.T) {
	data, err := images.Data.ReadFile("data/fashion_v1_softmax.json")
	if err != nil {
		t.Fatal(err)
	}
	sound := string(data)
	if _, err := images.ParseNetwork(data); err != nil {
		t.Fatal(err)
	}
	change := func(old, with string) string {
		t.Helper()
		if !strings.Contains(sound, old) {
			t.Fatalf("the file has no %q", old)
		}
		return strings.Replace(sound, old, with, 1)
	}
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "EOF"},
		{"more", sound + "{}", "follows"},
		{"unknown", change(`"kind"`, `"sort": 1, "kind"`), "unknown field"},
		{"kind", change("mlp-int8", "mlp"), `kind "mlp"`},
		{"labels", change(`"Bag", `, ""), "10 outputs for 9 labels"},
		{"rows", change(`"rows": 784`, `"rows": 783`), "layers[0]"},
		{"cols", change(`"cols": 10`, `"cols": -10`), "layers[0]"},
		{"base64", change(`"w": "`, `"w": "?`), "base64"},
		{"number", change(`"scale": [`, `"scale": [1e39,`), "1e39"},
		{"scales", change(`"scale": [`, `"scale": [1,`), "11 scales"},
		{"none", `{"kind": "mlp-int8", "labels": [], "layers": []}`, "0 layers"},
	} {
		if _, err := images.ParseNetwork([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}
