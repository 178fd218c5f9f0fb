//! What of ingress-nginx's admission is left in a cluster.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

/// The webhook that ingress-nginx registers (charts/ingress-nginx, validating-webhook.yaml).
const WEBHOOK: &str = "validate.nginx.ingress.kubernetes.io";

/// The names of the ValidatingWebhookConfigurations of ingress-nginx.
///
/// # Errors
///
/// If they cannot be listed.
pub async fn nginx_webhooks(client: &Client) -> Result<Vec<String>, kube::Error> {
    let all = Api::<ValidatingWebhookConfiguration>::all(client.clone()).list(&ListParams::default()).await?;
    let of_nginx = |configuration: &ValidatingWebhookConfiguration| {
        configuration.webhooks.iter().flatten().any(|webhook| webhook.name == WEBHOOK)
    };
    Ok(all.items.iter().filter(|configuration| of_nginx(configuration)).map(ResourceExt::name_any).collect())
}
