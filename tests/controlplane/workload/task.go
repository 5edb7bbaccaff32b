package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// task is the pod of a Job: it counts steps for a while and ends with the exit code it was told.
func task(terminated context.Context, arguments []string) error {
	flags := flag.NewFlagSet("task", flag.ExitOnError)
	port := portFlag(flags)
	duration := flags.Int("duration", 500, "milliseconds until it ends")
	fails := flags.Bool("fails", false, "whether it ends with a failure")
	_ = flags.Parse(arguments)
	steps := prometheus.NewCounter(prometheus.CounterOpts{Name: "task_steps_total", Help: "Steps done."})
	page := newPage()
	page.registry.MustRegister(steps)
	mux := http.NewServeMux()
	page.routes(mux)
	working, stop := context.WithTimeout(terminated, time.Duration(*duration)*time.Millisecond)
	defer stop()
	go count(working, steps)
	if err := serve(mux, *port, working.Done()); err != nil {
		return err
	}
	if *fails || terminated.Err() != nil {
		return fmt.Errorf("the task did not succeed")
	}
	return nil
}

func count(working context.Context, steps prometheus.Counter) {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-working.Done():
			return
		case <-ticks.C:
			steps.Inc()
		}
	}
}
