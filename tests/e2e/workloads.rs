//! YAML of what the tests run: a broker of queues, workers that take jobs from them, and autoscalers. Their behavior lets
//! nothing wait: each decision is the proposal of the metric within the bounds.

/// The broker and its Service. Its rate is the load.
pub const BROKER: &str = "
apiVersion: v1
kind: Service
metadata: {name: broker}
spec: {selector: {app: broker}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec:
  selector: {matchLabels: {app: broker}}
  template:
    metadata: {labels: {app: broker}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: broker, image: workload, args: [broker], ports: [{name: http, containerPort: 8080}]}]
";

/// A Deployment of workers, one at first, each with the label `app` and a page that is scraped.
pub struct Workers {
    pub name: &'static str,
    /// The queue of the broker.
    pub queue: &'static str,
    /// Milliseconds that a job takes; `None` for workers that only look.
    pub service_time: Option<u32>,
}

/// An autoscaler of the Deployment that has its name.
pub struct Autoscaler {
    pub name: &'static str,
    pub max: u32,
    /// An element of `spec.metrics`, in one line.
    pub metric: String,
}

// === impl Workers ===

impl Workers {
    pub fn yaml(&self) -> String {
        let Self { name, queue, service_time } = self;
        let work = match service_time {
            Some(milliseconds) => format!("--service-time, \"{milliseconds}\""),
            None => "--concurrency, \"0\"".to_owned(),
        };
        format!(
            "
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata:
      labels: {{app: {name}}}
      annotations: {{prometheus.io/scrape: \"true\"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: worker
          image: workload
          args: [worker, --queue, {queue}, {work}]
          ports: [{{name: http, containerPort: 8080}}]
"
        )
    }
}

// === impl Autoscaler ===

impl Autoscaler {
    pub fn yaml(&self) -> String {
        let Self { name, max, metric } = self;
        format!(
            "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: 1
  maxReplicas: {max}
  metrics: [{metric}]
  behavior:
    scaleUp: {{stabilizationWindowSeconds: 0, policies: [{{type: Pods, value: 100, periodSeconds: 1}}]}}
    scaleDown: {{stabilizationWindowSeconds: 0, policies: [{{type: Percent, value: 100, periodSeconds: 1}}]}}
"
        )
    }
}

/// What each pod has of a metric, on average.
pub fn per_pod(metric: &str, average: &str) -> String {
    format!(
        "{{type: Pods, pods: {{metric: {{name: {metric}}}, target: {{type: AverageValue, averageValue: {average}}}}}}}"
    )
}

/// The queue that workers look at, shared out over them: an Object metric of their Deployment.
pub fn queue_of(deployment: &str, average: &str) -> String {
    format!(
        "{{type: Object, object: {{describedObject: {{apiVersion: apps/v1, kind: Deployment, name: {deployment}}}, \
         metric: {{name: queue_length}}, target: {{type: AverageValue, averageValue: {average}}}}}}}"
    )
}
