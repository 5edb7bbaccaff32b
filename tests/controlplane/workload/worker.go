package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// jobs is what one worker does: it takes jobs from a queue of the broker, some at a time.
type jobs struct {
	broker      string
	queue       string
	serviceTime time.Duration
	http        *http.Client

	length    *prometheus.Desc
	decisions *prometheus.CounterVec
	requests  *prometheus.CounterVec
	duration  prometheus.Histogram
}

// The longest wait for a job; the end of the worker is that late at most. And the pause before an absent broker is asked again.
const (
	longPoll = 500 * time.Millisecond
	pause    = 100 * time.Millisecond
)

func worker(terminated context.Context, arguments []string) error {
	flags := flag.NewFlagSet("worker", flag.ExitOnError)
	port := portFlag(flags)
	broker := flags.String("broker", "broker", "name of the broker's Service, or its host:port")
	queue := flags.String("queue", "inference", "queue to take jobs from")
	serviceTime := flags.Int("service-time", 100, "milliseconds that a job takes")
	concurrency := flags.Int("concurrency", 1, "jobs at a time")
	_ = flags.Parse(arguments)
	work := newJobs(*broker, *queue, time.Duration(*serviceTime)*time.Millisecond)
	page := newPage()
	page.registry.MustRegister(work, work.decisions, work.requests, work.duration)
	mux := http.NewServeMux()
	page.routes(mux)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work.run(terminated, *concurrency)
	}()
	return serve(mux, *port, done)
}

// === jobs ===

func newJobs(broker, queue string, serviceTime time.Duration) *jobs {
	work := &jobs{
		broker:      broker,
		queue:       queue,
		serviceTime: serviceTime,
		http:        &http.Client{Timeout: longPoll + 2*time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
		length:      prometheus.NewDesc("agent_queue_length", "Jobs that wait in the shared queue.", []string{"queue"}, nil),
		decisions:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "agent_decisions_total", Help: "Jobs done."}, []string{"outcome"}),
		requests:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests answered."}, []string{"code", "method", "route"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "model_inference_duration_seconds",
			Help:    "From the push of a job to its end.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60}, NativeHistogramBucketFactor: 1.1,
		}),
	}
	// A rate has a beginning: what has not happened yet is 0 on the page.
	work.decisions.WithLabelValues("accepted")
	work.decisions.WithLabelValues("late")
	work.requests.WithLabelValues("200", "POST", "/decide")
	return work
}

func (j *jobs) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- j.length }

// Collect asks the broker. What it does not know is not on the page.
func (j *jobs) Collect(metrics chan<- prometheus.Metric) {
	body, status, err := j.ask(http.MethodGet, "/length", url.Values{})
	if err != nil || status != http.StatusOK {
		return
	}
	length, err := strconv.ParseFloat(strings.TrimSpace(string(body)), 64)
	if err == nil {
		metrics <- prometheus.MustNewConstMetric(j.length, prometheus.GaugeValue, length, j.queue)
	}
}

// run works until the end is asked for; jobs under way are finished.
func (j *jobs) run(terminated context.Context, concurrency int) {
	var hands sync.WaitGroup
	for range concurrency {
		hands.Go(func() {
			for terminated.Err() == nil {
				j.next()
			}
		})
	}
	hands.Wait()
	<-terminated.Done()
}

// next takes one job and does it, or waits a while for one.
func (j *jobs) next() {
	wait := url.Values{"wait_ms": {fmt.Sprint(longPoll.Milliseconds())}}
	body, status, err := j.ask(http.MethodPost, "/pop", wait)
	var taken job
	switch {
	case err != nil || (status != http.StatusOK && status != http.StatusNoContent):
		time.Sleep(pause)
	case status == http.StatusOK && json.NewDecoder(bytes.NewReader(body)).Decode(&taken) == nil:
		started := time.Now()
		time.Sleep(j.serviceTime)
		j.done(taken.Waited + time.Since(started).Seconds())
	}
}

func (j *jobs) done(seconds float64) {
	outcome := "accepted"
	if seconds > 5 {
		outcome = "late"
	}
	j.decisions.WithLabelValues(outcome).Inc()
	j.requests.WithLabelValues("200", "POST", "/decide").Inc()
	j.duration.Observe(seconds)
}

func (j *jobs) ask(method, path string, parameters url.Values) ([]byte, int, error) {
	address, err := resolve(j.broker)
	if err != nil {
		return nil, 0, err
	}
	parameters.Set("queue", j.queue)
	request, err := http.NewRequest(method, "http://"+address+path+"?"+parameters.Encode(), nil)
	if err != nil {
		return nil, 0, err
	}
	response, err := j.http.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return body, response.StatusCode, err
}

// resolve finds a ready endpoint of a Service of the pod's namespace. Instead of cluster DNS there is a folder with a
// file for each Service, which has one host:port a line.
func resolve(name string) (string, error) {
	if strings.Contains(name, ":") {
		return name, nil
	}
	endpoints, err := os.ReadFile(filepath.Join(os.Getenv("SERVICES"), name))
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(endpoints), "\n")
	if first == "" {
		return "", fmt.Errorf("the Service %s has no ready endpoint", name)
	}
	return first, nil
}
