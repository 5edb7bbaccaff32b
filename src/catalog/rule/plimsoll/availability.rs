//! Alerts on Plimsoll being there.

use super::dashboard;
use crate::catalog::rule::{About, Alert, Category, Condition, Runbook};

pub(in crate::catalog::rule) fn availability() -> Vec<Alert> {
    vec![absent(), unavailable(), not_ready(), single()]
}

fn absent() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollAbsent",
        category: Category::Availability,
        dashboard: crate::catalog::rule::Dashboard { uid: "plimsoll-overview", variables: &[] },
        summary: "No replica of Plimsoll can be scraped.",
        description: "Prometheus has not scraped any replica of Plimsoll for 5 minutes: it is down, or cannot be \
         reached.",
    }
    .fires(
        // What is absent has no labels; alerts on Plimsoll are compared with it by its job.
        [Condition::critical(r#"absent(up{job="plimsoll"} == 1)"#, "5m").with("job", "plimsoll")],
        Runbook::new(
            "There is no target of the job `plimsoll` whose scrape succeeds. Either Plimsoll does not run, or \
             Prometheus does not find it or may not read `/metrics`. All other alerts on Plimsoll are blind while this \
             one fires, and are muted.",
            "If Plimsoll is down, no HPA with a custom or external metric scales on it, and none of them scales down. \
             If only the scrape fails, HPAs are served as ever and nobody would notice a fault.",
            [
                "`kubectl -n plimsoll-system get deploy,pods -l app.kubernetes.io/name=plimsoll`: are there ready \
                 pods?",
                "`kubectl get apiservices | grep metrics.k8s.io`: *Available* says that the kube-apiserver reaches it; \
                 then it is the scrape alone.",
                "In Prometheus, *Status → Targets*, job `plimsoll`: no target is a matter of discovery (namespace, \
                 ServiceMonitor labels), 401 or 403 one of rights, a TLS error one of the CA.",
                "`kubectl -n plimsoll-system describe pod` and `logs --previous`, when pods restart.",
            ],
            [
                "No pods, or pending ones: `kubectl -n plimsoll-system describe rs` says what refuses them; quotas, \
                 taints and images are the usual ones.",
                "It began with a rollout: `kubectl -n plimsoll-system rollout undo deploy/plimsoll`.",
                "401 or 403: bind `plimsoll-viewer` to the ServiceAccount of Prometheus \
                 (`deploy/orchestration/components/prometheus`).",
                "While Plimsoll is down, scale by hand what carries load: `kubectl scale` holds, since the HPAs have \
                 no value.",
            ],
        ),
    )
}

fn unavailable() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollAPIServiceUnavailable",
        category: Category::Availability,
        dashboard: dashboard("plimsoll-api"),
        summary: "The kube-apiserver cannot reach an API that Plimsoll serves.",
        description: "The APIService {{ $labels.apiservice }} of {{ $labels.job }}{place} is not available.",
    }
    .fires(
        [Condition::critical("max by (job, namespace, apiservice) (plimsoll_apiservice_available) == 0", "5m")],
        Runbook::new(
            "Every replica that watches the APIService reads that its condition `Available` is not true. The \
             kube-apiserver then answers requests for this API itself, with 503, and Plimsoll never sees them.",
            "HPAs with metrics of this API do not scale. `kubectl` warns at every call, and namespaces cannot be \
             deleted while an API is unavailable.",
            [
                "`kubectl get apiservice APISERVICE -o yaml`: `status.conditions` has the reason and the message.",
                "`FailedDiscoveryCheck` with *x509*: the `caBundle` does not fit the certificate. With *connection \
                 refused* or *timeout*: a network policy or firewall between control plane and pods; the port is \
                 10250.",
                "`MissingEndpoints`: no replica is ready; `kubectl -n plimsoll-system get endpointslices,pods`.",
                "`kubectl exec -n plimsoll-system deploy/plimsoll -- /plimsoll doctor` looks at all of it and names \
                 the fix. Is another adapter registered for the same APIService? It says that too.",
            ],
            [
                "Certificate: with `--tls-self-managed-secret` Plimsoll keeps the caBundle; does its ServiceAccount \
                 still have the right to patch APIServices? With cert-manager: the annotation \
                 `cert-manager.io/inject-ca-from`.",
                "Network: allow the control plane to reach TCP 10250 of the pods.",
                "Another owner: apply `deploy/orchestration` again, and remove the other adapter's APIService from its \
                 chart.",
                "No ready replica: go on with PlimsollNotReady.",
            ],
        ),
    )
}

fn not_ready() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollNotReady",
        category: Category::Availability,
        dashboard: dashboard("plimsoll-overview"),
        summary: "A replica of Plimsoll is not ready, or only in part.",
        description: "The readiness check {{ $labels.check }} of {{ $labels.instance }}{place} does not pass.",
    }
    .fires(
        [
            Condition::warning(
                r#"max by (job, namespace, instance, check) (plimsoll_readiness{state="not_ready"}) == 1"#,
                "10m",
            ),
            Condition::info(
                r#"max by (job, namespace, instance, check) (plimsoll_readiness{state="degraded"}) == 1"#,
                "30m",
            ),
        ],
        Runbook::new(
            "A check of `/readyz` says *not ready* (warning), or *degraded* (info): it serves, with something missing. \
             A replica that has just started is not ready until it has scraped each target twice, at most 90 s.",
            "A replica that is not ready gets no requests. With two replicas the other one serves all; with none ready \
             the API is unavailable.",
            [
                "`kubectl get --raw /api/v1/namespaces/plimsoll-system/pods/https:POD:10250/proxy/readyz?verbose`, or \
                 `/readyz?verbose` behind a port-forward: each check with its sentence.",
                "By check: `config` the file was refused; `discovery` lists or watches have not come; `scrape` no \
                 first round; `limits` a bound is reached; `certificate` it has ended; `authentication`, \
                 `authorization` the cluster does not answer.",
                "`kubectl -n plimsoll-system logs POD --since=15m`.",
            ],
            [
                "`discovery`, `authentication`, `authorization`: are the ServiceAccount's rights as in \
                 `deploy/orchestration/base`? Does the kube-apiserver answer?",
                "`config`: `plimsoll check --config FILE` names the line; mend the ConfigMap.",
                "`certificate`: go on with PlimsollCertificateExpiring.",
                "`limits`: go on with PlimsollTargetsOverLimit and PlimsollScrapeLimitHit.",
            ],
        ),
    )
}

fn single() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollSingleReplica",
        category: Category::Availability,
        dashboard: dashboard("plimsoll-overview"),
        summary: "Plimsoll runs with a single replica.",
        description: "Only {{ $value }} replica of {{ $labels.job }}{place} answers; the next failure takes the \
         metrics APIs away.",
    }
    .fires(
        [Condition::warning(r#"count by (job, namespace) (up{job="plimsoll"} == 1) < 2"#, "15m")],
        Runbook::new(
            "Plimsoll is meant to run with two replicas or more, on different nodes; for 15 minutes only one could be \
             scraped.",
            "Nothing yet. A node that is drained, a crash or a rollout now interrupts every autoscaler with custom \
             metrics.",
            [
                "`kubectl -n plimsoll-system get deploy plimsoll`: how many are wanted, how many are there?",
                "`kubectl -n plimsoll-system get pods -l app.kubernetes.io/name=plimsoll -o wide`: pending for want of \
                 a second node? The spread allows no two on one node while there is another.",
                "All are there: one cannot be scraped. *Status → Targets* in Prometheus says why.",
            ],
            [
                "Wanted is 1: `kubectl -n plimsoll-system scale deploy/plimsoll --replicas=2`, and in the overlay.",
                "Pending: make room on a second node; the pods have the priority `system-cluster-critical`.",
                "A cluster of one node has no more to give: silence this alert there.",
            ],
        ),
    )
}
