// The program in the pods of the tests: a broker of jobs, workers that do them, and tasks that end by themselves.
// Its numbers are real: a queue has a length because jobs wait in it, and drains because workers take them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.Lmicroseconds)
	roles := map[string]func(context.Context, []string) error{"broker": broker, "worker": worker, "task": task}
	if len(os.Args) < 2 || roles[os.Args[1]] == nil {
		log.Fatal("usage: workload broker|worker|task [flags]")
	}
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := roles[os.Args[1]](terminated, os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// portFlag is the port of a role; the address is that of the pod.
func portFlag(flags *flag.FlagSet) *int {
	return flags.Int("port", 8080, "port of the pod's address to listen on")
}

// serve answers on the pod's address until done is closed.
func serve(handler http.Handler, port int, done <-chan struct{}) error {
	address := os.Getenv("POD_IP")
	if address == "" {
		address = "127.0.0.1"
	}
	server := &http.Server{Addr: net.JoinHostPort(address, fmt.Sprint(port)), Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-done
		// What is under way gets a moment: a long poll or a scrape.
		deadline, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(deadline)
	}()
	log.Printf("listening on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}
