package admin

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"zkafka/zkd/replica"
)

// metricsHandler serves the metrics under the names of upstream's Prometheus provider, with those
// of the process and the Go runtime in place of the JVM's.
func (a *Admin) metricsHandler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collector{a},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(a.log)})
}

// collector takes a sample for every scrape.
type collector struct{ a *Admin }

// perNamespace is upstream's label of metrics that have a value for each namespace.
var perNamespace = []string{"key"}

// descs are the descriptions of all metrics by name.
var descs = func() map[string]*prometheus.Desc {
	m := map[string]*prometheus.Desc{}
	for _, names := range [][]string{gaugeNames, counterNames, summaryNames, histogramNames} {
		for _, name := range names {
			m[name] = prometheus.NewDesc(name, name, nil, nil)
		}
	}
	for _, set := range quotaSets {
		m[set.name] = prometheus.NewDesc(set.name, set.name, perNamespace, nil)
	}
	for _, set := range summarySets {
		m[set.name] = prometheus.NewDesc(set.name, set.name, perNamespace, nil)
	}
	return m
}()

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A server that does not serve has no metrics.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s, err := c.a.sample()
	if err != nil {
		return
	}
	values, sums, hists := s.values(), s.summaries(), s.histograms()
	for _, name := range gaugeNames {
		ch <- prometheus.MustNewConstMetric(descs[name], prometheus.GaugeValue,
			float(values[name]))
	}
	for _, name := range counterNames {
		ch <- prometheus.MustNewConstMetric(descs[name], prometheus.CounterValue,
			float(values[name]))
	}
	for _, name := range summaryNames {
		sum := sums[name]
		ch <- prometheus.MustNewConstSummary(descs[name], uint64(sum.Count), float64(sum.Sum),
			nil) // quantiles of these are not kept
	}
	for _, name := range histogramNames {
		h := hists[name]
		if h == nil {
			h = &replica.Histogram{}
		}
		q := map[float64]float64{}
		for _, at := range []float64{0.5, 0.9, 0.99} {
			q[at] = float64(h.Quantile(at))
		}
		ch <- prometheus.MustNewConstSummary(descs[name], uint64(h.Count), float64(h.Sum), q)
	}
	s.collectNamespaces(ch)
}

// collectNamespaces sends what has a value per namespace.
func (s *sample) collectNamespaces(ch chan<- prometheus.Metric) {
	s.eachQuota(func(set, namespace string, v int64) {
		ch <- prometheus.MustNewConstMetric(descs[set], prometheus.GaugeValue, float64(v),
			strings.ToValidUTF8(namespace, "?"))
	})
	s.eachNamespace(func(set, namespace string, sum *replica.Summary) {
		ch <- prometheus.MustNewConstSummary(descs[set], uint64(sum.Count), float64(sum.Sum),
			nil, strings.ToValidUTF8(namespace, "?"))
	})
}

func float(v number) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		return v
	}
	return 0
}
