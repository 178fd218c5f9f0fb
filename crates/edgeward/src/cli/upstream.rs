//! Flags of ingress-nginx that have no effect here. They are accepted with a warning, so that its command line starts
//! Edgeward unchanged.

use clap::{Arg, ArgAction, ArgMatches, Command};

const CLUSTER: &str = "name the API server and its certificate authority in a file with --kubeconfig";
const WATCHED: &str = "every change is acted on as it comes";
const WEBHOOK: &str = "there is no validating webhook; `edgeward check` finds the same mistakes";
const NGINX: &str = "it is about the nginx process, which there is none of";
const METRICS: &str =
    "buckets are what --time-buckets, --length-buckets and --size-buckets say, and only hosts of rules are labels";
const NOT_YET: &str = "it is not honoured yet";
const ALWAYS: &str = "annotations and paths are always validated";

/// Flag, whether it is a boolean (its value may be left out), and why it has no effect.
const FLAGS: &[(&str, bool, &str)] = &[
    ("alsologtostderr", true, NGINX),
    ("apiserver-host", false, CLUSTER),
    ("bucket-factor", false, METRICS),
    ("certificate-authority", false, CLUSTER),
    ("controller-pod-name", false, "the environment variable POD_NAME has the name of the pod"),
    ("deep-inspect", true, ALWAYS),
    ("default-server-port", false, NGINX),
    ("disable-full-test", true, NGINX),
    ("disable-sync-events", true, "no Event is written about a mere synchronisation"),
    ("dynamic-configuration-retries", false, NGINX),
    ("enable-annotation-validation", true, ALWAYS),
    ("enable-ssl-chain-completion", true, NOT_YET),
    ("enable-topology-aware-routing", true, NOT_YET),
    ("health-check-timeout", false, NGINX),
    ("internal-logger-address", false, NGINX),
    ("log_dir", false, NGINX),
    ("logtostderr", true, NGINX),
    ("max-buckets", false, METRICS),
    ("maxmind-edition-ids", false, NOT_YET),
    ("maxmind-license-key", false, NOT_YET),
    ("maxmind-mirror", false, NOT_YET),
    ("maxmind-retries-count", false, NOT_YET),
    ("maxmind-retries-timeout", false, NOT_YET),
    ("metrics-per-undefined-host", true, METRICS),
    ("monitor-max-batch-size", false, NGINX),
    ("post-shutdown-grace-period", false, "the process ends as soon as the last request has"),
    ("profiler-address", false, NGINX),
    ("profiler-port", false, NGINX),
    ("profiling", true, NGINX),
    ("ssl-passthrough-proxy-port", false, "TLS is passed on from the port for HTTPS"),
    ("status-port", false, NGINX),
    ("status-update-interval", false, WATCHED),
    ("stderrthreshold", false, NGINX),
    ("stream-port", false, NGINX),
    ("sync-period", false, WATCHED),
    ("sync-rate-limit", false, NGINX),
    ("tcp-services-configmap", false, NOT_YET),
    ("udp-services-configmap", false, NOT_YET),
    ("v", false, "use --log-level"),
    ("validating-webhook", false, WEBHOOK),
    ("validating-webhook-certificate", false, WEBHOOK),
    ("validating-webhook-key", false, WEBHOOK),
];

/// Adds the flags to `command`, hidden from its help.
pub(super) fn accept(command: Command) -> Command {
    FLAGS.iter().fold(command, |command, (name, is_boolean, _)| {
        let arg = Arg::new(*name).long(*name).hide(true).action(ArgAction::Append);
        // The one with a short form: `-v=2`, `-v 2`.
        let arg = if *name == "v" { arg.short('v') } else { arg };
        command.arg(if *is_boolean {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg.num_args(1).allow_hyphen_values(true)
        })
    })
}

/// One sentence for each of the flags that was given.
pub(super) fn warnings(matches: &ArgMatches) -> Vec<String> {
    FLAGS
        .iter()
        .filter(|(name, ..)| matches.try_contains_id(name).unwrap_or(false))
        .map(|(name, _, why)| format!("--{name} has no effect here: {why}"))
        .collect()
}
