package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/natsstore"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// ringResult is what the record ring lost.
type ringResult struct {
	Recorded uint64        `json:"recorded"`
	Dropped  uint64        `json:"dropped"`
	Stored   uint64        `json:"stored"` // batches in the log
	Elapsed  time.Duration `json:"elapsed"`
}

type storeLog struct{ s store.Store }

// Append implements ingest.Log.
func (l storeLog) Append(ctx context.Context, partition int, id string, data []byte) error {
	_, err := l.s.Append(ctx, strconv.Itoa(partition), id, data)
	return err
}

// runRing records exposures at a fixed rate into the ring, as the gateway does, with the embedded store behind it, and
// counts what is lost. A gateway that could answer so many requests would need more cores than this.
func runRing(args []string, out io.Writer) error {
	var rate int
	var last time.Duration
	f := flag.NewFlagSet("ring", flag.ContinueOnError)
	f.IntVar(&rate, "rate", 50_000, "")
	f.DurationVar(&last, "time", time.Minute, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-ring")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	s, err := natsstore.OpenEmbedded(ctx, natsstore.Options{Namespace: "bench", Dir: dir, Logger: log})
	if err != nil {
		return err
	}
	p := ingest.NewPublisher(ingest.Options{Log: storeLog{s}, Producer: "bench", Incarnation: 1, Logger: log, Ring: 65536 / release.Partitions})
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(running, 10*time.Second) }()
	r := ringResult{Elapsed: record(p, rate, last)}
	stop()
	if err := <-done; err != nil {
		return err
	}
	st := p.State()
	r.Recorded, r.Dropped = st.Recorded, st.Dropped
	for i := range release.Partitions {
		_, end, err := s.Bounds(ctx, strconv.Itoa(i))
		if err != nil {
			return err
		}
		r.Stored += uint64(end)
	}
	if err := s.Close(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

// record leaves rate exposures a second, a hundredth of them every 10 ms, from different units.
func record(p *ingest.Publisher, rate int, last time.Duration) time.Duration {
	begun := time.Now()
	var n uint64
	for tick := range int(last / (10 * time.Millisecond)) {
		time.Sleep(time.Until(begun.Add(time.Duration(tick) * 10 * time.Millisecond)))
		for range rate / 100 {
			n++
			e := release.Exposure{
				ID: n, Unit: n * 0x9e3779b97f4a7c15, Time: time.Now().UnixMilli(), Release: 1, Stratum: 1, Epoch: 1,
				Bin: uint16(n % release.Bins), Arm: uint8(n % 2), Status: 200, Latency: uint32(1000 + n%500), TTFB: 900,
			}
			p.Record(&e)
		}
	}
	return time.Since(begun)
}
