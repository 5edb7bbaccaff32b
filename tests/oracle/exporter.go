package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// exporter is a service as Prometheus' own client library makes it, with native and classic histograms. Each
// scrape finds 1,000 more observations in them: 0.001, 0.002 and so on to 1.
func exporter() {
	registry := prometheus.NewRegistry()
	native := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "native_seconds", Help: "Native only.", NativeHistogramBucketFactor: 1.1,
	})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "classic_seconds", Help: "Classic only.", Buckets: []float64{0.5, 1, 2},
	})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "both_seconds", Help: "Both.", Buckets: []float64{0.5, 1, 2}, NativeHistogramBucketFactor: 1.1,
	})
	observations := prometheus.NewCounter(prometheus.CounterOpts{Name: "observations_total", Help: "As it says."})
	registry.MustRegister(native, classic, both, observations)
	pages := promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	http.HandleFunc("/metrics", func(response http.ResponseWriter, request *http.Request) {
		for observation := 1; observation <= 1000; observation++ {
			seconds := float64(observation) / 1000
			native.Observe(seconds)
			classic.Observe(seconds)
			both.Observe(seconds)
			observations.Inc()
		}
		pages.ServeHTTP(response, request)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
