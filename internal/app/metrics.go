package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/capture"
)

// Names of the metrics of the whole process, all of them. The gateway's, the controller's and telemetry's own stand in
// their packages.
const (
	nameBuild      = "sluice_build_info"
	nameStoreUp    = "sluice_store_up"
	nameStoreBytes = "sluice_store_bytes"
	nameStoreFree  = "sluice_store_free_bytes"
	nameFoldLag    = "sluice_fold_lag_entries"
	nameCaptured   = "sluice_captured_total"
)

var (
	descBuild      = prometheus.NewDesc(nameBuild, "1, with the version of this build.", []string{"version"}, nil)
	descStoreUp    = prometheus.NewDesc(nameStoreUp, "1 while the store answers.", nil, nil)
	descStoreBytes = prometheus.NewDesc(nameStoreBytes, "Bytes that the store holds.", nil, nil)
	descStoreFree  = prometheus.NewDesc(nameStoreFree, "Bytes that it may still take; missing if not known.", nil, nil)
	descFoldLag    = prometheus.NewDesc(nameFoldLag, "Entries of the log that are stored and not counted yet, all partitions.", nil, nil)
)

// processCollector reports what is so at the time of the scrape.
type processCollector struct{ a *App }

// Describe implements prometheus.Collector.
func (processCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descStoreUp, descStoreBytes, descStoreFree, descFoldLag} {
		out <- d
	}
}

// Collect implements prometheus.Collector. A store that is away takes a scrape two seconds, not longer.
func (c processCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descBuild, 1, c.a.o.Version)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var s api.Status
	c.a.status(ctx, &s)
	if s.Store.Fault != "" {
		gauge(descStoreUp, 0)
		return
	}
	gauge(descStoreUp, 1)
	gauge(descStoreBytes, float64(s.Store.Bytes))
	if s.Store.Free > 0 {
		gauge(descStoreFree, float64(s.Store.Free))
	}
	gauge(descFoldLag, float64(s.Store.Lag))
}

// registerMetrics makes the parts' metrics known.
func (a *App) registerMetrics(parts ...prometheus.Collector) error {
	for _, c := range parts {
		if err := a.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

var descCaptured = prometheus.NewDesc(nameCaptured, "Exchanges of the sample of bodies: kept, or dropped for want of room.", []string{"result"}, nil)

// captureCollector counts captured exchanges.
type captureCollector struct{ w *capture.Writer }

// Describe implements prometheus.Collector.
func (captureCollector) Describe(out chan<- *prometheus.Desc) { out <- descCaptured }

// Collect implements prometheus.Collector.
func (c captureCollector) Collect(out chan<- prometheus.Metric) {
	kept, dropped := c.w.Counts()
	out <- prometheus.MustNewConstMetric(descCaptured, prometheus.CounterValue, float64(kept), "kept")
	out <- prometheus.MustNewConstMetric(descCaptured, prometheus.CounterValue, float64(dropped), "dropped")
}
