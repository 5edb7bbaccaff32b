//! Alerts on the port, its certificate and the configuration.

use crate::catalog::rule::{About, Alert, Category, Condition, Dashboard, Runbook};

const API: Dashboard = Dashboard { uid: "plimsoll-api", variables: &["job", "instance"] };
const INTERNALS: Dashboard = Dashboard { uid: "plimsoll-internals", variables: &["job", "instance"] };

pub(in crate::catalog::rule) fn serving() -> Vec<Alert> {
    vec![certificate_expiring(), certificate_refused(), config_refused(), connections_refused(), requests_limited()]
}

fn certificate_expiring() -> Alert {
    let left = "min by (job, namespace, instance) (plimsoll_serving_certificate_not_after_timestamp_seconds) - time()";
    About {
        service: "plimsoll",
        name: "PlimsollCertificateExpiring",
        category: Category::Availability,
        dashboard: API,
        summary: "The serving certificate of Plimsoll ends soon.",
        description: "The certificate of {{ $labels.instance }}{place} ends in {{ $value | humanizeDuration }}.",
    }
    .fires(
        [Condition::critical(format!("{left} < 86400"), "5m"), Condition::warning(format!("{left} < 604800"), "15m")],
        Runbook::new(
            "The certificate in force ends in less than a day (critical) or a week (warning). One that Plimsoll makes \
             itself lasts 30 days and is renewed after 20, cert-manager renews as early: an alert means that renewal \
             does not work.",
            "When it has ended, the kube-apiserver refuses to talk to Plimsoll: all custom and external metrics are \
             gone at once.",
            [
                "`kubectl exec -n plimsoll-system deploy/plimsoll -- /plimsoll doctor`: where the certificate comes \
                 from, until when it is valid, and what hinders a new one.",
                "Of Plimsoll's own making: `plimsoll_serving_certificate_writes_total{result=\"failed\"}` rises; \
                 `kubectl -n plimsoll-system get secret plimsoll-serving`.",
                "Of cert-manager: `kubectl -n plimsoll-system describe certificate`.",
                "From files: does the new file lie where `--tls-cert-file` looks? PlimsollCertificateRefused tells of \
                 a wrong one.",
                "Neither: one was made at the start for local use. It lasts a year, and nobody renews it.",
            ],
            [
                "Rights: the Role `plimsoll-serving-certificate` of `deploy/orchestration/base` lets it write the \
                 Secret and the APIServices.",
                "Of Plimsoll's own making, and stuck: `kubectl -n plimsoll-system delete secret plimsoll-serving`, \
                 apply the empty one of `deploy/orchestration/base` again; a new CA is made and announced within a \
                 minute.",
                "Of cert-manager: `cmctl renew -n plimsoll-system plimsoll`, or delete the Secret it writes.",
                "For local use: restart Plimsoll, which makes another one; or give it one of the other kinds.",
                "A new certificate of any other kind is taken up without a restart.",
            ],
        ),
    )
}

fn certificate_refused() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollCertificateRefused",
        category: Category::Configuration,
        dashboard: API,
        summary: "A new serving certificate was refused.",
        description: "{{ $labels.instance }} of {{ $labels.job }}{place} was given a certificate that it cannot use, \
                      and goes on with the one before.",
    }
    .fires(
        [Condition::warning(
            "sum by (job, namespace, instance) \
             (increase(plimsoll_serving_certificate_reloads_total{result=\"refused\"}[1h])) > 0",
            "1m",
        )],
        Runbook::new(
            "The files or the Secret with the certificate changed, and what they hold now is not usable: a key that \
             does not fit, PEM that is none, a certificate that has ended.",
            "Nothing until the certificate in force ends; PlimsollCertificateExpiring says when. A replica that \
             restarts meanwhile does not come up with a wrong one.",
            [
                "`kubectl -n plimsoll-system logs POD | grep -i certificate`: the sentence says what is wrong with \
                 which file or key.",
                "`kubectl -n plimsoll-system get secret NAME -o jsonpath='{.data.tls\\.crt}' | base64 -d | openssl \
                 x509 -noout -dates -subject -ext subjectAltName`.",
            ],
            [
                "Put the right pair in place; it is taken up within seconds.",
                "A key and a certificate of two makings: write both again, the key first.",
            ],
        ),
    )
}

fn config_refused() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollConfigReloadFailed",
        category: Category::Configuration,
        dashboard: INTERNALS,
        summary: "The newest configuration of Plimsoll is not in force.",
        description: "{{ $labels.instance }} of {{ $labels.job }}{place} refused its configuration file and works with \
         the one before.",
    }
    .fires(
        [Condition::warning("min by (job, namespace, instance) (plimsoll_config_last_reload_successful) == 0", "5m")],
        Runbook::new(
            "The configuration file changed and has a mistake. Plimsoll goes on with the last one that was right.",
            "What the change was for does not happen. A pod that starts now does not become ready: the next rollout, \
             or a lost node, makes it an outage.",
            [
                "`kubectl -n plimsoll-system logs POD | grep -i configuration`: every mistake with its line.",
                "`plimsoll check --config FILE` on your machine says the same.",
                "`kubectl -n plimsoll-system get configmap plimsoll -o yaml`: who changed it, and is it what the \
                 repository has?",
            ],
            [
                "Mend the file, or take the change back; it is taken up within a minute, without a restart.",
                "Run `plimsoll check` where the file is reviewed, so that it cannot be merged.",
            ],
        ),
    )
}

fn connections_refused() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollConnectionsRefused",
        category: Category::Capacity,
        dashboard: API,
        summary: "Plimsoll refuses connections because it has as many as it may.",
        description: "{{ $labels.instance }} of {{ $labels.job }}{place} refuses {{ $value | humanize }} connections \
                      per second ({{ $labels.reason }}).",
    }
    .fires(
        [Condition::warning(
            "sum by (job, namespace, instance, reason) \
             (rate(plimsoll_serving_connections_refused_total{reason=~\"full|address_full\"}[5m])) > 0",
            "5m",
        )],
        Runbook::new(
            "The port has as many connections as it takes (`full`), or one address has as many as one may have \
             (`address_full`). The kube-apiserver needs a handful; hundreds are something else.",
            "Connections of the kube-apiserver are kept while there is room; when all are taken its requests may fail, \
             and HPAs with them.",
            [
                "Dashboard plimsoll-internals, *Open connections*: `front_proxy` is the kube-apiserver, `known` others \
                 who said who they are, `stranger` who did not.",
                "`kubectl -n plimsoll-system logs POD | grep -i 'connection'`: addresses that were refused.",
                "Who is that address? `kubectl get pods -A -o wide | grep ADDRESS`; a scanner, a scraper without \
                 keep-alive, a load balancer that checks too often?",
            ],
            [
                "Stop that client, or keep it out: `from` in the NetworkPolicy of `deploy/orchestration/base`.",
                "A load balancer in front makes one address of many: let the kube-apiserver reach the pods directly.",
            ],
        ),
    )
}

fn requests_limited() -> Alert {
    About {
        service: "plimsoll",
        name: "PlimsollRequestsLimited",
        category: Category::Capacity,
        dashboard: Dashboard { uid: "plimsoll-api", variables: &["job"] },
        summary: "Clients ask Plimsoll for more than their tier allows.",
        description: "{{ $value | humanize }} requests per second of clients of the tier {{ $labels.tier }} are \
                      answered with 429 by {{ $labels.job }}{place}.",
    }
    .fires(
        [Condition::warning(
            "sum by (job, namespace, tier) (rate(plimsoll_serving_requests_limited_total[5m])) > 0.1",
            "15m",
        )],
        Runbook::new(
            "For 15 minutes clients were refused with 429 more than six times a minute. The autoscaler is never \
             limited; these are people, dashboards and scripts. The tier `authentication_failures` are clients that \
             could not say who they are.",
            "Those clients miss values. Autoscaling does not suffer.",
            [
                "Dashboard plimsoll-api, *Limited by tier*.",
                "`kubectl -n plimsoll-system logs -l app.kubernetes.io/name=plimsoll | grep 429`: user and address of \
                 each.",
                "`authentication_failures`: an old token, or somebody who tries.",
            ],
            [
                "A client with a right to more: name it in `rate_limits` with a higher tier.",
                "A script in a loop: let it ask once for a list instead of once for each object.",
                "A stranger: find the address, keep it out by NetworkPolicy.",
            ],
        ),
    )
}
