package simulate

import "testing"

// BenchmarkCredit is one equal release of the credit example: 72 hours of 40 requests a second.
func BenchmarkCredit(b *testing.B) {
	o, err := Options{Model: credit(b), ICC: 0.1, Activity: DefaultActivity}.complete()
	if err != nil {
		b.Fatal(err)
	}
	pop := newPopulation(&o)
	mem := newMemory()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := simulateOne(b.Context(), scene{&o, pop}, uint64(i), mem); err != nil {
			b.Fatal(err)
		}
	}
}
