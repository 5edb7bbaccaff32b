package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// page is /metrics, with switches that a test can use while it is served. Where METRICS_AUTHORIZATION is set, only
// requests with this header get it: "Bearer TOKEN", or "Basic" with user and password in base64.
type page struct {
	registry *prometheus.Registry
	mutex    sync.Mutex
	hidden   map[string]bool
	pinned   map[string]float64
	broken   bool
}

// === page ===

func newPage() *page {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &page{registry: registry, hidden: map[string]bool{}, pinned: map[string]float64{}}
}

func (p *page) routes(mux *http.ServeMux) {
	handler := promhttp.HandlerFor(p, promhttp.HandlerOpts{EnableOpenMetrics: true})
	authorization := os.Getenv("METRICS_AUTHORIZATION")
	mux.HandleFunc("GET /metrics", func(response http.ResponseWriter, request *http.Request) {
		if authorization != "" && request.Header.Get("authorization") != authorization {
			http.Error(response, "not for you", http.StatusUnauthorized)
			return
		}
		p.mutex.Lock()
		broken := p.broken
		p.mutex.Unlock()
		if broken {
			fmt.Fprintln(response, "this is { not a page of metrics")
			return
		}
		handler.ServeHTTP(response, request)
	})
	mux.HandleFunc("PUT /hide", p.set(func(name string) { p.hidden[name] = true }))
	mux.HandleFunc("PUT /show", p.set(func(name string) { delete(p.hidden, name) }))
	mux.HandleFunc("PUT /unpin", p.set(func(name string) { delete(p.pinned, name) }))
	mux.HandleFunc("PUT /pin", p.pin)
	mux.HandleFunc("PUT /broken", p.breaks(true))
	mux.HandleFunc("PUT /mended", p.breaks(false))
}

// Gather is the registry's, without what is hidden, and with the gauges that are pinned instead of their own values.
func (p *page) Gather() ([]*dto.MetricFamily, error) {
	families, err := p.registry.Gather()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	shown := families[:0]
	for _, family := range families {
		if _, pinned := p.pinned[family.GetName()]; !pinned && !p.hidden[family.GetName()] {
			shown = append(shown, family)
		}
	}
	for name, value := range p.pinned {
		if !p.hidden[name] {
			shown = append(shown, gauge(name, value))
		}
	}
	return shown, err
}

// set is a handler that changes something for the metric that the request names.
func (p *page) set(change func(string)) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		name := request.URL.Query().Get("metric")
		if name == "" {
			http.Error(response, "metric: expected a name", http.StatusBadRequest)
			return
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		change(name)
	}
}

// pin puts a gauge with this value on the page, instead of the metric with that name: PUT /pin?metric=agent_queue_length&value=40.
func (p *page) pin(response http.ResponseWriter, request *http.Request) {
	value, err := strconv.ParseFloat(request.URL.Query().Get("value"), 64)
	if err != nil {
		http.Error(response, "value: expected a number", http.StatusBadRequest)
		return
	}
	p.set(func(name string) { p.pinned[name] = value })(response, request)
}

func (p *page) breaks(broken bool) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.broken = broken
	}
}

func gauge(name string, value float64) *dto.MetricFamily {
	help, kind := "Pinned.", dto.MetricType_GAUGE
	metric := &dto.Metric{Gauge: &dto.Gauge{Value: &value}}
	return &dto.MetricFamily{Name: &name, Help: &help, Type: &kind, Metric: []*dto.Metric{metric}}
}
