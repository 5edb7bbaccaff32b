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

/// A Service in front of the Deployment that has its name.
pub fn service(name: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
"
    )
}

/// What each pod has of a metric, on average.
pub fn per_pod(metric: &str, average: &str) -> String {
    format!(
        "{{type: Pods, pods: {{metric: {{name: {metric}}}, target: {{type: AverageValue, averageValue: {average}}}}}}}"
    )
}

/// The queue that workers look at, shared out over them.
pub fn queue_of(deployment: &str, average: &str) -> String {
    total_of(deployment, "queue_length", average)
}

/// A number for all pods of a Deployment together, shared out over them: an Object metric of the Deployment.
pub fn total_of(deployment: &str, metric: &str, average: &str) -> String {
    format!(
        "{{type: Object, object: {{describedObject: {{apiVersion: apps/v1, kind: Deployment, name: {deployment}}}, \
         metric: {{name: {metric}}}, target: {{type: AverageValue, averageValue: {average}}}}}}}"
    )
}

/// A number for all pods of a Service together: an Object metric of the Service, with a Value.
pub fn of_service(service: &str, metric: &str, value: &str) -> String {
    format!(
        "{{type: Object, object: {{describedObject: {{apiVersion: v1, kind: Service, name: {service}}}, \
         metric: {{name: {metric}}}, target: {{type: Value, value: {value}}}}}}}"
    )
}

/// A queue as something outside of the cluster, shared out over the pods.
pub fn external_queue(queue: &str, average: &str) -> String {
    format!(
        "{{type: External, external: {{metric: {{name: queue_length, selector: {{matchLabels: {{queue: {queue}}}}}}}, \
         target: {{type: AverageValue, averageValue: {average}}}}}}}"
    )
}
