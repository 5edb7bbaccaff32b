package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// queues are the named queues of one broker.
type queues struct {
	mutex  sync.Mutex
	named  map[string]*queue
	length *prometheus.Desc
	pushed *prometheus.Desc
}

// queue holds jobs in the order they came. A job is the time it was pushed.
type queue struct {
	waiting []time.Time
	// Jobs that the load generator pushes each second.
	rate float64
	// The part of a job that the load generator owes from the last moments.
	owed   float64
	pushed int
	// Closed and replaced when a job comes.
	arrival chan struct{}
}

// job is what a worker gets.
type job struct {
	// Seconds that it waited in the queue.
	Waited float64 `json:"waited_seconds"`
}

// How often the load generator pushes, and the longest that a worker waits for a job.
const (
	beat         = 20 * time.Millisecond
	longestDelay = 30 * time.Second
)

func broker(terminated context.Context, arguments []string) error {
	flags := flag.NewFlagSet("broker", flag.ExitOnError)
	port := portFlag(flags)
	_ = flags.Parse(arguments)
	held := newQueues()
	go held.generate(terminated)
	page := newPage()
	page.registry.MustRegister(held)
	mux := http.NewServeMux()
	page.routes(mux)
	mux.HandleFunc("PUT /rate", held.setRate)
	mux.HandleFunc("GET /length", held.getLength)
	mux.HandleFunc("POST /push", held.push)
	mux.HandleFunc("POST /clear", held.clear)
	mux.HandleFunc("POST /pop", held.pop)
	return serve(mux, *port, terminated.Done())
}

// === queues ===

func newQueues() *queues {
	return &queues{
		named:  map[string]*queue{},
		length: prometheus.NewDesc("broker_queue_length", "Jobs that wait.", []string{"queue"}, nil),
		pushed: prometheus.NewDesc("broker_jobs_pushed_total", "Jobs that came.", []string{"queue"}, nil),
	}
}

func (q *queues) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- q.length
	descriptions <- q.pushed
}

func (q *queues) Collect(metrics chan<- prometheus.Metric) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	for name, queue := range q.named {
		metrics <- prometheus.MustNewConstMetric(q.length, prometheus.GaugeValue, float64(len(queue.waiting)), name)
		metrics <- prometheus.MustNewConstMetric(q.pushed, prometheus.CounterValue, float64(queue.pushed), name)
	}
}

// of is the queue that a request names; it comes to be with the first request. The caller holds the lock.
func (q *queues) of(request *http.Request) *queue {
	name := request.URL.Query().Get("queue")
	if name == "" {
		name = "inference"
	}
	if q.named[name] == nil {
		q.named[name] = &queue{arrival: make(chan struct{})}
	}
	return q.named[name]
}

// generate is the load: what each queue's rate makes of the time that has passed.
func (q *queues) generate(terminated context.Context) {
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for last := time.Now(); ; {
		select {
		case <-terminated.Done():
			return
		case now := <-ticks.C:
			q.mutex.Lock()
			for _, queue := range q.named {
				queue.owe(now.Sub(last))
			}
			q.mutex.Unlock()
			last = now
		}
	}
}

func (q *queues) setRate(response http.ResponseWriter, request *http.Request) {
	rate, err := strconv.ParseFloat(request.URL.Query().Get("per_second"), 64)
	if err != nil || rate < 0 || rate > 1e6 {
		http.Error(response, "per_second: expected a number from 0 to 1000000", http.StatusBadRequest)
		return
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.of(request).rate = rate
}

func (q *queues) getLength(response http.ResponseWriter, request *http.Request) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	fmt.Fprintln(response, len(q.of(request).waiting))
}

func (q *queues) push(response http.ResponseWriter, request *http.Request) {
	n, err := strconv.Atoi(request.URL.Query().Get("n"))
	if err != nil || n < 0 || n > 1e6 {
		http.Error(response, "n: expected a whole number from 0 to 1000000", http.StatusBadRequest)
		return
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.of(request).add(n)
}

func (q *queues) clear(_ http.ResponseWriter, request *http.Request) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.of(request).waiting = nil
}

// pop answers with a job as soon as there is one, or with 204 when none came in wait_ms milliseconds.
func (q *queues) pop(response http.ResponseWriter, request *http.Request) {
	milliseconds, _ := strconv.Atoi(request.URL.Query().Get("wait_ms"))
	patience := time.NewTimer(min(time.Duration(milliseconds)*time.Millisecond, longestDelay))
	defer patience.Stop()
	for {
		pushed, arrival, found := q.take(request)
		if found {
			response.Header().Set("content-type", "application/json")
			_ = json.NewEncoder(response).Encode(job{Waited: time.Since(pushed).Seconds()})
			return
		}
		select {
		case <-arrival:
		case <-patience.C:
			response.WriteHeader(http.StatusNoContent)
			return
		case <-request.Context().Done():
			return
		}
	}
}

// take is the oldest job, or else what tells that one has come.
func (q *queues) take(request *http.Request) (time.Time, <-chan struct{}, bool) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	queue := q.of(request)
	if len(queue.waiting) == 0 {
		return time.Time{}, queue.arrival, false
	}
	oldest := queue.waiting[0]
	queue.waiting = queue.waiting[1:]
	return oldest, nil, true
}

// === queue ===

func (q *queue) owe(passed time.Duration) {
	q.owed += q.rate * passed.Seconds()
	whole := int(q.owed)
	q.owed -= float64(whole)
	q.add(whole)
}

func (q *queue) add(n int) {
	if n == 0 {
		return
	}
	now := time.Now()
	for range n {
		q.waiting = append(q.waiting, now)
	}
	q.pushed += n
	close(q.arrival)
	q.arrival = make(chan struct{})
}
