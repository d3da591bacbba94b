package assign

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// The published vectors come from another implementation of hash, intervals and arms.
func TestPublishedVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Tables []struct {
			From, Intervals []Interval
			Shares          []uint32
		}
		Units []struct {
			Salt, Unit, Hash, MirrorHash string
			Bin                          uint16
			Arms                         []uint8
		}
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Tables) < 10 || len(v.Units) < 50 {
		t.Fatalf("only %d tables and %d units", len(v.Tables), len(v.Units))
	}
	for i, row := range v.Tables {
		shares := make([]release.Share, len(row.Shares))
		for arm, s := range row.Shares {
			shares[arm] = release.Share(s)
		}
		got, err := Reshape(row.From, shares)
		if err != nil || !reflect.DeepEqual(got, row.Intervals) {
			t.Errorf("table %d: Reshape(%v, %v) = %v, %v, want %v", i, row.From, row.Shares, got, err, row.Intervals)
		}
	}
	for _, u := range v.Units {
		unit, err := hex.DecodeString(u.Unit)
		if err != nil {
			t.Fatal(err)
		}
		if got := strconv.FormatUint(Hash(u.Salt, unit), 10); got != u.Hash {
			t.Errorf("Hash(%q, %s) = %s, want %s", u.Salt, u.Unit, got, u.Hash)
		}
		if got := strconv.FormatUint(Hash(u.Salt+mirrorSuffix, string(unit)), 10); got != u.MirrorHash {
			t.Errorf("mirror hash of (%q, %s) = %s, want %s", u.Salt, u.Unit, got, u.MirrorHash)
		}
		if got := Bin(unit); got != u.Bin {
			t.Errorf("Bin(%s) = %d, want %d", u.Unit, got, u.Bin)
		}
		for i, want := range u.Arms {
			table, err := NewTable(u.Salt, v.Tables[i].Intervals)
			if err != nil {
				t.Fatal(err)
			}
			if got := table.Arm(unit); got != want {
				t.Errorf("unit (%q, %s) in table %d: arm %d, want %d", u.Salt, u.Unit, i, got, want)
			}
		}
	}
}
