// The engine of Prometheus 3 as an oracle: reads series and instant queries as JSON from standard
// input, evaluates them with Prometheus' own code and writes the results as JSON to standard output.
//
// Values are texts, so that NaN, Inf and every bit of a number survive. There is no storage, network or
// clock: the samples are handed to the engine as they were read.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// Request is all of one run.
type Request struct {
	// Series with a time for each sample.
	Series []Series `json:"series"`
	// Series in the notation of Prometheus' own tests.
	Load    Load    `json:"load"`
	Queries []Query `json:"queries"`
}

type Series struct {
	Labels map[string]string `json:"labels"`
	// Milliseconds since the Unix epoch.
	Timestamps []int64 `json:"timestamps"`
	// Numbers as Go reads them, or "stale".
	Values []string `json:"values"`
}

// Load is what follows the word "load" in a test file of Prometheus.
type Load struct {
	StartMillis    int64    `json:"start_millis"`
	IntervalMillis int64    `json:"interval_millis"`
	Lines          []string `json:"lines"`
}

type Query struct {
	Expression string `json:"expression"`
	TimeMillis int64  `json:"time_millis"`
}

// Point is one element of the resulting vector.
type Point struct {
	Labels map[string]string `json:"labels"`
	Value  string            `json:"value"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "exporter" {
		exporter()
	}
	var request Request
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		log.Fatalf("expected a request: %v", err)
	}
	reader := parser.NewParser(parser.Options{})
	all, err := read(request, reader)
	if err != nil {
		log.Fatal(err)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:    50_000_000,
		Timeout:       5 * time.Minute,
		LookbackDelta: 5 * time.Minute,
		Parser:        reader,
	})
	results := make([][]Point, 0, len(request.Queries))
	for _, query := range request.Queries {
		points, err := evaluate(engine, all, query)
		if err != nil {
			log.Fatalf("%s: %v", query.Expression, err)
		}
		results = append(results, points)
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		log.Fatal(err)
	}
}

func evaluate(engine *promql.Engine, all series, query Query) ([]Point, error) {
	ctx := context.Background()
	prepared, err := engine.NewInstantQuery(ctx, all, nil, query.Expression, time.UnixMilli(query.TimeMillis))
	if err != nil {
		return nil, err
	}
	defer prepared.Close()
	vector, err := prepared.Exec(ctx).Vector()
	if err != nil {
		return nil, err
	}
	points := make([]Point, 0, len(vector))
	for _, sample := range vector {
		points = append(points, Point{Labels: sample.Metric.Map(), Value: strconv.FormatFloat(sample.F, 'g', -1, 64)})
	}
	return points, nil
}

func read(request Request, reader parser.Parser) (series, error) {
	all := series{}
	for _, one := range request.Series {
		if len(one.Timestamps) != len(one.Values) {
			return nil, fmt.Errorf("%v: %d timestamps, %d values", one.Labels, len(one.Timestamps), len(one.Values))
		}
		points := make([]promql.FPoint, 0, len(one.Values))
		for i, text := range one.Values {
			number, err := number(text)
			if err != nil {
				return nil, err
			}
			points = append(points, promql.FPoint{T: one.Timestamps[i], F: number})
		}
		all.add(labels.FromMap(one.Labels), points)
	}
	for _, line := range request.Load.Lines {
		metric, values, err := reader.ParseSeriesDesc(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		var points []promql.FPoint
		for i, at := range values {
			if !at.Omitted {
				time := request.Load.StartMillis + int64(i)*request.Load.IntervalMillis
				points = append(points, promql.FPoint{T: time, F: at.Value})
			}
		}
		all.add(metric, points)
	}
	return all, nil
}

func number(text string) (float64, error) {
	if text == "stale" {
		return math.Float64frombits(value.StaleNaN), nil
	}
	return strconv.ParseFloat(text, 64)
}

// === series: all that was read, by metric name; what the engine asks ===

type series map[string][]storage.Series

func (s series) add(metric labels.Labels, points []promql.FPoint) {
	name := metric.Get(labels.MetricName)
	s[name] = append(s[name], promql.NewStorageSeries(promql.Series{Metric: metric, Floats: points}))
}

func (s series) Querier(_, _ int64) (storage.Querier, error) { return s, nil }

func (s series) Select(_ context.Context, sorted bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var selected []storage.Series
	for _, one := range s.named(matchers) {
		matches := func(m *labels.Matcher) bool { return m.Matches(one.Labels().Get(m.Name)) }
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !matches(m) }) {
			selected = append(selected, one)
		}
	}
	if sorted {
		slices.SortFunc(selected, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	}
	return &set{selected: selected, at: -1}
}

// named narrows the series down to one name where the matchers tell one.
func (s series) named(matchers []*labels.Matcher) []storage.Series {
	for _, m := range matchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return s[m.Value]
		}
	}
	return nil
}

func (series) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (series) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (series) Close() error { return nil }

// === set: a selection, one after the other ===

type set struct {
	selected []storage.Series
	at       int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.selected) }
func (s *set) At() storage.Series                { return s.selected[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }
