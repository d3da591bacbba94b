package store_test

import (
	"testing"

	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory() })
}

func TestMemoryReopen(t *testing.T) {
	storetest.RunReopen(t, func(*testing.T) (store.Store, func() store.Store) {
		m := store.NewMemory()
		return m, func() store.Store {
			m.Close()
			m = m.Session(nil)
			return m
		}
	})
}

// The model against itself finds faults of the comparison, not of the store.
func TestMemoryModel(t *testing.T) {
	storetest.RunModel(t, func(*testing.T) store.Store { return store.NewMemory() })
}
