package ingest

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics of telemetry's way into the log, all of them.
const (
	nameQueued   = "sluice_telemetry_queued"
	nameCapacity = "sluice_telemetry_capacity"
	nameRecorded = "sluice_telemetry_recorded_total"
	nameDropped  = "sluice_telemetry_dropped_total"
	nameSpooled  = "sluice_telemetry_spooled_bytes"
)

var (
	descQueued   = prometheus.NewDesc(nameQueued, "Exposures that wait in memory to become durable.", nil, nil)
	descCapacity = prometheus.NewDesc(nameCapacity, "Exposures that may wait in memory.", nil, nil)
	descRecorded = prometheus.NewDesc(nameRecorded, "Exposures recorded since the start.", nil, nil)
	descDropped  = prometheus.NewDesc(nameDropped, "Exposures that found no room. Above 0.1 % of an arm its release does not advance.", nil, nil)
	descSpooled  = prometheus.NewDesc(nameSpooled, "Bytes that wait on disk for the store.", nil, nil)
)

// Describe implements prometheus.Collector.
func (p *Publisher) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descQueued, descCapacity, descRecorded, descDropped, descSpooled} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (p *Publisher) Collect(out chan<- prometheus.Metric) {
	s := p.State()
	out <- prometheus.MustNewConstMetric(descQueued, prometheus.GaugeValue, float64(s.Queued))
	out <- prometheus.MustNewConstMetric(descCapacity, prometheus.GaugeValue, float64(s.Capacity))
	out <- prometheus.MustNewConstMetric(descRecorded, prometheus.CounterValue, float64(s.Recorded))
	out <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(s.Dropped))
	out <- prometheus.MustNewConstMetric(descSpooled, prometheus.GaugeValue, float64(s.Spooled))
}
