package records

import (
	"maps"
	"slices"
	"strings"

	"sluice.dev/sluice/internal/release"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func join(names []string) string { return strings.Join(names, ", ") }

// damaged is the error of a stored value that can't be read.
func damaged(op string, err error) error {
	return release.Internal(op, err, "the stored value is damaged").Fix("restore the data folder from a backup")
}
