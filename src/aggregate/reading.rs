//! What the series of one target contribute, by group: each checked, then read by the shape of the definition.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aggregate::{Absence, Basis, Bucket, Content, Groups, Histogram, Partial, histogram, increase, prometheus};
use crate::config::metric::{Aggregation, Combine, RangeBoundary, Selection, Sharing, Side};
use crate::model::{Labels, NativeHistogram, Timestamp, excerpt};
use crate::storage::{CLOCK_SKEW_MAX, SAMPLES_MAX, Sample, SampleValue, Series, TargetStore};

/// One evaluation: the store and what every step needs.
pub(super) struct Reading<'a> {
    pub store: &'a TargetStore,
    pub split_by: &'a [String],
    pub now: Timestamp,
    pub freshness: Duration,
    pub scrape_interval: Duration,
    pub aggregation: Aggregation,
}

/// The change of one series per second, with the group of the series.
type Change = (Labels, f64, Basis);

impl<'a> Reading<'a> {
    /// The selected series, each checked: fresh, finite, not refused.
    fn select(&self, name: &str, selection: &Selection) -> Result<Vec<&'a Series>, Absence> {
        let selected: Vec<_> =
            self.store.series(name).filter(|series| selection.matchers.matches(series.labels())).collect();
        if selected.is_empty() {
            return Err(no_series(name, selection));
        }
        selected.iter().try_for_each(|series| self.check(series))?;
        Ok(selected)
    }

    fn check<V: SampleValue>(&self, series: &Series<V>) -> Result<(), Absence> {
        if let Some(why) = &series.refusal {
            return Err(Absence::Refused(why.to_string()));
        }
        let none = || Absence::NoSeries { name: series.text(), matchers: String::new() };
        let newest = series.newest().ok_or_else(none)?;
        if newest.timestamp > self.now.plus(CLOCK_SKEW_MAX) {
            let what = format!("the newest sample of {} is of {}, in the future", series.text(), newest.timestamp);
            return Err(Absence::Refused(what));
        }
        self.check_age(series, newest.timestamp)?;
        if !newest.value.is_finite() {
            return Err(Absence::NotFinite { series: series.text(), value: newest.value.text() });
        }
        Ok(())
    }

    /// PromQL takes a counter that it has not seen for long for a slow one. That is right of a new pod, and wrong of one
    /// that has been there before Plimsoll.
    fn check_watched(&self, name: &str, window: Duration) -> Result<(), Absence> {
        let since = self.store.state.first_success.filter(|_| self.store.joined.is_none());
        let watched = since.map_or(window, |since| self.now.since(since) + self.scrape_interval);
        if watched >= window {
            return Ok(());
        }
        let (watched, window) = (watched.as_secs(), window.as_secs());
        Err(Absence::Refused(format!(
            "{name} has been watched for {watched} s of the window of {window} s; until then its rate in mode \
             prometheus is too low"
        )))
    }

    /// Whether what is known of a series since `newest` still counts.
    fn check_age<V: SampleValue>(&self, series: &Series<V>, newest: Timestamp) -> Result<(), Absence> {
        let age = self.now.since(newest);
        if age <= self.freshness {
            return Ok(());
        }
        Err(Absence::Stale {
            series: series.text(),
            newest,
            age_seconds: age.as_secs(),
            freshness_seconds: self.freshness.as_secs(),
        })
    }

    /// A window from which the storage had to drop samples is not what was asked for.
    fn check_cut(&self, series: &Series, window: Duration) -> Result<(), Absence> {
        let first = series.all_samples().next().filter(|_| series.all_samples().len() >= SAMPLES_MAX);
        if first.is_none_or(|first| first.timestamp <= self.now.minus(window)) {
            return Ok(());
        }
        let what = format!("the window holds more than the {SAMPLES_MAX} samples of {} that are kept", series.text());
        Err(Absence::Refused(what))
    }

    fn group<V: SampleValue>(&self, series: &Series<V>) -> Labels {
        if self.split_by.is_empty() {
            return Labels::default();
        }
        let pairs = self.split_by.iter().filter_map(|name| Some((name.as_str(), series.labels().get(name)?)));
        Labels::new(pairs)
    }

    pub(super) fn gauges(&self, selection: &Selection, combine: Combine) -> Result<Groups<Partial>, Absence> {
        let mut groups = Groups::default();
        for series in self.select(&selection.name, selection)? {
            let (value, basis) = newest(series);
            let content = match self.aggregation {
                Aggregation::Exact => Content::Gauge { combine, sum: value, count: 1, min: value, max: value },
                Aggregation::Prometheus(boundary) => Content::Values { combine, boundary, values: vec![value] },
            };
            groups.add(self.group(series), Partial { content, basis }, Partial::merge);
        }
        Ok(groups)
    }

    pub(super) fn queues(&self, selection: &Selection, sharing: Sharing) -> Result<Groups<Partial>, Absence> {
        let mut groups = Groups::default();
        for series in self.select(&selection.name, selection)? {
            let (value, basis) = newest(series);
            // One page tells the parts of a queue apart, so within it they sum.
            let group = self.group(series);
            let queue = if self.split_by.is_empty() { series.labels().clone() } else { group.clone() };
            let content = Content::Queue { sharing: Sharing::Partitioned, parts: BTreeMap::from([(queue, value)]) };
            groups.add(group, Partial { content, basis }, Partial::merge);
        }
        for partial in groups.values_mut() {
            if let Content::Queue { sharing: merging, .. } = &mut partial.content {
                *merging = sharing;
            }
        }
        Ok(groups)
    }

    pub(super) fn rates(&self, selection: &Selection, window: Duration) -> Result<Groups<Partial>, Absence> {
        let mut groups = Groups::default();
        for (group, per_second, basis) in self.changes(selection, window)? {
            let content = match self.aggregation {
                Aggregation::Exact => Content::Rate(per_second),
                Aggregation::Prometheus(boundary) => {
                    Content::Values { combine: Combine::Sum, boundary, values: vec![per_second] }
                }
            };
            groups.add(group, Partial { content, basis }, Partial::merge);
        }
        Ok(groups)
    }

    /// The change of each counter that is old enough for one.
    fn changes(&self, selection: &Selection, window: Duration) -> Result<Vec<Change>, Absence> {
        match self.aggregation {
            Aggregation::Exact => self.increases(self.select(&selection.name, selection)?, window),
            Aggregation::Prometheus(boundary) => {
                let rates = self.prometheus_rates(&selection.name, selection, window, boundary)?;
                Ok(rates.into_iter().map(|(series, rate, basis)| (self.group(series), rate, basis)).collect())
            }
        }
    }

    fn increases(&self, selected: Vec<&'a Series>, window: Duration) -> Result<Vec<Change>, Absence> {
        let mut increases = Vec::with_capacity(selected.len());
        let mut young = None;
        for series in selected {
            match increase::over(series, window, self.scrape_interval, series.restarted.as_slice()) {
                Ok(increase) => increases.push((self.group(series), increase.per_second(), increase.basis())),
                Err(absence @ Absence::TooFewSamples { .. }) => young = young.or(Some(absence)),
                Err(absence) => return Err(absence),
            }
        }
        young.filter(|_| increases.is_empty()).map_or(Ok(increases), Err)
    }

    /// PromQL's `rate` of each series with two samples in the window, of those that ended within it, too. Samples that
    /// are stale, refused or no numbers are an absence, as ever; that a counter falls often is not, as in PromQL.
    fn prometheus_rates(
        &self,
        name: &str,
        selection: &Selection,
        window: Duration,
        boundary: RangeBoundary,
    ) -> Result<Vec<(&'a Series, f64, Basis)>, Absence> {
        if self.store.last_drop(name).is_some_and(|drop| drop >= self.now.minus(window)) {
            return Err(Absence::Refused(format!("more series of {name} ended within the window than can be kept")));
        }
        self.check_watched(name, window)?;
        let all = self.store.all_series(name).filter(|series| selection.matchers.matches(series.labels()));
        let (mut rates, mut young) = (Vec::new(), None);
        for series in all {
            let live = series.newest().is_some() || series.refusal.is_some();
            if live {
                self.check(series)?;
            } else {
                // That a series has ended counts for as long as the page that showed it.
                self.check_age(series, self.store.state.last_success.unwrap_or(Timestamp(0)))?;
            }
            self.check_cut(series, window)?;
            let samples = prometheus::range(series.all_samples().copied(), self.now, window, boundary);
            let Some(rate) = prometheus::rate(samples.iter().copied(), self.now, window, boundary) else {
                if live {
                    young.get_or_insert(Absence::TooFewSamples { series: series.text(), samples: samples.len() });
                }
                continue;
            };
            if !rate.is_finite() {
                return Err(Absence::NotFinite { series: series.text(), value: rate.to_string() });
            }
            // That a series has ended is as new as the page that no longer has it.
            let ended = self.store.state.last_success.filter(|_| !live);
            let timestamp = ended.or(series.newest().map(|newest| newest.timestamp)).unwrap_or(self.now);
            rates.push((series, rate, Basis { timestamp, span: Some(window), series: 1, samples: samples.len() }));
        }
        match (rates.is_empty(), young) {
            (false, _) => Ok(rates),
            (true, Some(young)) => Err(young),
            (true, None) => Err(no_series(name, selection)),
        }
    }

    /// Native histograms where the page has them, and classic ones beside them: a workload may be in the middle of
    /// changing over.
    pub(super) fn quantiles(
        &self,
        selection: &Selection,
        q: f64,
        window: Duration,
    ) -> Result<Groups<Partial>, Absence> {
        if let Aggregation::Prometheus(boundary) = self.aggregation
            && self.has_classic(selection)
        {
            return self.prometheus_buckets(selection, q, window, boundary);
        }
        let native = self.natives(selection, window)?;
        let mut classic = match self.classics(selection, window) {
            Err(Absence::NoSeries { .. } | Absence::TooFewSamples { .. }) if !native.is_empty() => BTreeMap::new(),
            Err(Absence::NoSeries { name, .. })
                if self.store.last_seen(&selection.name) > self.store.last_seen(&name) =>
            {
                return Err(no_series(&selection.name, selection));
            }
            classic => classic?,
        };
        let mut groups = Groups::default();
        for (group, (histogram, mut basis)) in native {
            let beside = classic.remove(&group).map(|(histogram, theirs)| {
                // One of the two will be used; until it is known which, the older sample counts.
                basis.timestamp = basis.timestamp.min(theirs.timestamp);
                basis.series += theirs.series;
                histogram
            });
            let content = Content::Quantile { q, native: Some(Box::new(histogram)), classic: beside };
            groups.add(group, Partial { content, basis }, Partial::merge);
        }
        for (group, (histogram, basis)) in classic {
            let content = Content::Quantile { q, native: None, classic: Some(histogram) };
            groups.add(group, Partial { content, basis }, Partial::merge);
        }
        Ok(groups)
    }

    /// Whether there are classic buckets to take rates of: not those that ended where native ones are now, nor those of a
    /// gauge histogram.
    fn has_classic(&self, selection: &Selection) -> bool {
        let name = format!("{}_bucket", selection.name);
        let ended = || self.store.all_series(&name).next().is_some();
        let native = || self.store.histograms(&selection.name).next().is_some();
        !self.store.is_gauge(&name) && (self.store.series(&name).next().is_some() || ended() && !native())
    }

    /// The rates of classic buckets, which PromQL sums by their bound before it takes the quantile.
    fn prometheus_buckets(
        &self,
        selection: &Selection,
        q: f64,
        window: Duration,
        boundary: RangeBoundary,
    ) -> Result<Groups<Partial>, Absence> {
        let name = format!("{}_bucket", selection.name);
        let mut groups = Groups::default();
        for (series, count, basis) in self.prometheus_rates(&name, selection, window, boundary)? {
            // PromQL leaves out what is no bucket.
            if let Ok(le) = histogram::bound(series) {
                let content = Content::Buckets { q, boundary, buckets: vec![prometheus::Bucket { le, count }] };
                groups.add(self.group(series), Partial { content, basis }, Partial::merge);
            }
        }
        if groups.is_empty() {
            return Err(Absence::Histogram(format!("no series of {name} has a label le with a number")));
        }
        Ok(groups)
    }

    fn natives(&self, selection: &Selection, window: Duration) -> Result<Observations<NativeHistogram>, Absence> {
        let all = self.store.histograms(&selection.name);
        let selected = all.filter(|series| selection.matchers.matches(series.labels()));
        let is_gauge = self.store.is_gauge(&selection.name);
        let mut merged = Merged::new();
        for series in selected {
            self.check(series)?;
            let observed = match series.newest() {
                Some(newest) if is_gauge => Ok((newest.value.clone(), basis(newest))),
                _ => increase::observed(series, window, self.scrape_interval).map(|o| (o.histogram, o.basis)),
            };
            merged.add(self.group(series), observed, NativeHistogram::add)?;
        }
        merged.finish()
    }

    fn classics(&self, selection: &Selection, window: Duration) -> Result<Observations<Histogram>, Absence> {
        let name = format!("{}_bucket", selection.name);
        let is_gauge = self.store.is_gauge(&name);
        let mut children: BTreeMap<Labels, Vec<&Series>> = BTreeMap::new();
        for series in self.select(&name, selection)? {
            let child = Labels::new(series.labels().iter().filter(|(label, _)| *label != "le"));
            children.entry(child).or_default().push(series);
        }
        let mut merged = Merged::new();
        for (child, buckets) in children {
            let observed = match is_gauge {
                true => gauge_histogram(&buckets),
                false => self.histogram(&buckets, window),
            };
            let observed = observed.map_err(|absence| match absence {
                Absence::Histogram(what) => {
                    Absence::Histogram(excerpt(&format_args!("{}{child}: {what}", selection.name)))
                }
                other => other,
            });
            merged.add(self.group(buckets[0]), observed, Histogram::merge)?;
        }
        merged.finish()
    }

    /// The change of one histogram. Its buckets restart together, and it counts whole or not at all.
    fn histogram(&self, buckets: &[&Series], window: Duration) -> Result<(Histogram, Basis), Absence> {
        let restarts: Vec<_> = buckets.iter().flat_map(|series| increase::restarts(series)).collect();
        let change = |series: &&Series| {
            let change = increase::over(series, window, self.scrape_interval, &restarts)?;
            Ok((change.per_second(), change.basis()))
        };
        histogram(buckets, change)
    }

    pub(super) fn ratios(
        &self,
        numerator: &Side,
        denominator: &Side,
        window: Duration,
    ) -> Result<Groups<Partial>, Absence> {
        let mut groups = Groups::default();
        for (group, amount, basis) in self.side(denominator, window)? {
            groups.add(
                group,
                Partial { content: Content::Ratio { numerator: 0.0, denominator: amount }, basis },
                Partial::merge,
            );
        }
        for (group, amount, basis) in self.numerator(numerator, denominator, window)? {
            // A group that only the numerator knows has no total to be a share of.
            if let Some(partial) = groups.get_mut(&group) {
                partial.merge(Partial { content: Content::Ratio { numerator: amount, denominator: 0.0 }, basis });
            }
        }
        Ok(groups)
    }

    /// The numerator's amounts. Where both sides read the same family, a numerator without series is
    /// a proven zero: the page has the family, and nothing in it matches.
    fn numerator(&self, numerator: &Side, denominator: &Side, window: Duration) -> Result<Vec<Change>, Absence> {
        let same_family = numerator.selection().name == denominator.selection().name;
        match self.side(numerator, window) {
            Err(Absence::NoSeries { .. }) if same_family => Ok(Vec::new()),
            other => other,
        }
    }

    fn side(&self, side: &Side, window: Duration) -> Result<Vec<Change>, Absence> {
        let selection = side.selection();
        if matches!(side, Side::Counter(_)) {
            return self.changes(selection, window);
        }
        let selected = self.select(&selection.name, selection)?;
        let gauge = |series: &Series| {
            let (value, basis) = newest(series);
            (self.group(series), value, basis)
        };
        Ok(selected.into_iter().map(gauge).collect())
    }
}

/// The newest value of a checked series.
fn newest(series: &Series) -> (f64, Basis) {
    let sample = series.newest().expect("a checked series has a sample");
    (sample.value, basis(sample))
}

/// What a number rests on that one sample tells.
fn basis<V>(sample: &Sample<V>) -> Basis {
    Basis { timestamp: sample.timestamp, span: None, series: 1, samples: 1 }
}

/// A gauge histogram tells what is there now, so its newest samples count as they are.
fn gauge_histogram(buckets: &[&Series]) -> Result<(Histogram, Basis), Absence> {
    histogram(buckets, |series| Ok(newest(series)))
}

fn histogram<'a>(
    buckets: &[&'a Series],
    count: impl Fn(&&'a Series) -> Result<(f64, Basis), Absence>,
) -> Result<(Histogram, Basis), Absence> {
    let mut counted = Vec::with_capacity(buckets.len());
    let mut all: Option<Basis> = None;
    for series in buckets {
        let (count, basis) = count(series)?;
        counted.push(Bucket { le: histogram::bound(series)?, count });
        match &mut all {
            Some(all) => all.add(basis),
            None => all = Some(basis),
        }
    }
    let histogram = Histogram::new(counted).map_err(|what| Absence::Histogram(what.into()))?;
    Ok((histogram, all.expect("a histogram has a bucket")))
}

/// What was observed, by group.
type Observations<H> = BTreeMap<Labels, (H, Basis)>;

/// Histograms on their way to be merged by group. One that is too young for a change contributes nothing; it is an
/// absence only when all are.
struct Merged<H> {
    groups: Observations<H>,
    young: Option<Absence>,
}

impl<H> Merged<H> {
    fn new() -> Self {
        Self { groups: BTreeMap::new(), young: None }
    }

    fn add(
        &mut self,
        group: Labels,
        observed: Result<(H, Basis), Absence>,
        merge: impl Fn(&mut H, &H),
    ) -> Result<(), Absence> {
        match (observed, self.groups.get_mut(&group)) {
            (Err(absence @ Absence::TooFewSamples { .. }), _) => drop(self.young.get_or_insert(absence)),
            (Err(absence), _) => return Err(absence),
            (Ok((histogram, basis)), Some((all, together))) => {
                merge(all, &histogram);
                together.add(basis);
            }
            (Ok(observed), None) => drop(self.groups.insert(group, observed)),
        }
        Ok(())
    }

    fn finish(self) -> Result<Observations<H>, Absence> {
        self.young.filter(|_| self.groups.is_empty()).map_or(Ok(self.groups), Err)
    }
}

fn no_series(name: &str, selection: &Selection) -> Absence {
    let matchers = match selection.matchers.0.is_empty() {
        true => String::new(),
        false => format!(" that matches {}", selection.matchers),
    };
    Absence::NoSeries { name: name.into(), matchers }
}
