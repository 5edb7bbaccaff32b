//! Where the files of a volume come from: ConfigMaps, Secrets, the service account of the pod, and the pod itself.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, KeyToPath, Pod, Secret, ServiceAccount, Volume, VolumeProjection};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Client, ResourceExt};

use super::payload::Files;

/// One source of one volume.
#[derive(Clone)]
pub enum Source {
    ConfigMap(Keys),
    Secret(Keys),
    /// A token for an audience, or for the API server.
    Token {
        path: String,
        audience: Option<String>,
        seconds: i64,
    },
    /// Fields of the pod, each with the path of its file.
    Fields(Vec<(String, String)>),
}

/// What is taken of a ConfigMap or Secret.
#[derive(Clone)]
pub struct Keys {
    object: String,
    /// Which key becomes which file; all of them where there are none.
    items: Vec<KeyToPath>,
    optional: bool,
}

/// What the API gives a token where the volume says nothing.
const TOKEN_SECONDS: i64 = 3600;

/// A kubelet renews a token after this part of its life.
const TOKEN_LIFE: f64 = 0.8;

/// After a token could not be had.
const TOKEN_RETRY: Duration = Duration::from_secs(1);

/// The sources of a volume, none for an empty one.
///
/// # Errors
/// Volumes that are not made here.
pub fn sources(volume: &Volume) -> Result<Vec<Source>, String> {
    if let Some(map) = &volume.config_map {
        return Ok(vec![Source::ConfigMap(Keys::new(&map.name, &map.items, map.optional))]);
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        return Ok(vec![Source::Secret(Keys::new(name, &secret.items, secret.optional))]);
    }
    if let Some(projected) = &volume.projected {
        return projected.sources.iter().flatten().map(|source| Source::projected(&volume.name, source)).collect();
    }
    match &volume.empty_dir {
        Some(_) => Ok(Vec::new()),
        None => Err(unknown(&volume.name)),
    }
}

// === impl Source ===

impl Source {
    fn projected(volume: &str, source: &VolumeProjection) -> Result<Self, String> {
        if let Some(map) = &source.config_map {
            return Ok(Self::ConfigMap(Keys::new(&map.name, &map.items, map.optional)));
        }
        if let Some(secret) = &source.secret {
            return Ok(Self::Secret(Keys::new(&secret.name, &secret.items, secret.optional)));
        }
        if let Some(token) = &source.service_account_token {
            let seconds = token.expiration_seconds.unwrap_or(TOKEN_SECONDS);
            return Ok(Self::Token { path: token.path.clone(), audience: token.audience.clone(), seconds });
        }
        let fields = source.downward_api.iter().flat_map(|fields| fields.items.iter().flatten());
        let fields = fields.map(|item| Some((item.path.clone(), item.field_ref.as_ref()?.field_path.clone())));
        let fields: Option<Vec<_>> = fields.collect();
        fields.filter(|fields| !fields.is_empty()).map(Self::Fields).ok_or_else(|| unknown(volume))
    }

    /// The files as they are now.
    ///
    /// # Errors
    /// What is missing, or the API server's.
    pub async fn files(&self, client: &Client, pod: &Pod) -> Result<Files, String> {
        let namespace = pod.namespace().unwrap_or_default();
        match self {
            Self::ConfigMap(keys) => {
                let found = Api::<ConfigMap>::namespaced(client.clone(), &namespace).get_opt(&keys.object).await;
                let found = found.map_err(|error| error.to_string())?;
                keys.files(found.map(of_config_map)).ok_or_else(|| format!("configmap {:?} not found", keys.object))
            }
            Self::Secret(keys) => {
                let found = Api::<Secret>::namespaced(client.clone(), &namespace).get_opt(&keys.object).await;
                let found = found.map_err(|error| error.to_string())?;
                keys.files(found.map(of_secret)).ok_or_else(|| format!("secret {:?} not found", keys.object))
            }
            Self::Token { path, audience, seconds } => {
                let token = token(client, pod, audience.as_ref(), *seconds).await.map_err(|error| error.to_string())?;
                Ok(Files::from([(path.clone(), token.into_bytes())]))
            }
            Self::Fields(fields) => {
                let file = |(path, field): &(String, String)| Some((path.clone(), value(pod, field)?.into_bytes()));
                fields.iter().map(file).collect::<Option<_>>().ok_or_else(|| format!("unknown fields: {fields:?}"))
            }
        }
    }

    /// The files each time they may be others; a source that is gone leaves what it was.
    pub fn changes(self, client: Client, pod: Pod) -> BoxStream<'static, Files> {
        let namespace = pod.namespace().unwrap_or_default();
        match self {
            Self::ConfigMap(keys) => {
                let objects = watch_object(Api::<ConfigMap>::namespaced(client, &namespace), &keys.object);
                settled(objects)
                    .filter_map(move |found| std::future::ready(keys.files(found.map(of_config_map))))
                    .boxed()
            }
            Self::Secret(keys) => {
                let objects = watch_object(Api::<Secret>::namespaced(client, &namespace), &keys.object);
                settled(objects).filter_map(move |found| std::future::ready(keys.files(found.map(of_secret)))).boxed()
            }
            Self::Token { seconds, .. } => {
                let life = Duration::from_secs(u64::try_from(seconds).unwrap_or_default()).mul_f64(TOKEN_LIFE);
                futures::stream::unfold((self, client, pod, life), |(source, client, pod, wait)| async move {
                    let files = source.renewed(&client, &pod, wait).await;
                    Some((files, (source, client, pod, wait)))
                })
                .boxed()
            }
            Self::Fields(_) => futures::stream::empty().boxed(),
        }
    }

    async fn renewed(&self, client: &Client, pod: &Pod, after: Duration) -> Files {
        tokio::time::sleep(after).await;
        loop {
            match self.files(client, pod).await {
                Ok(files) => return files,
                Err(error) => eprintln!("kubelet: pod {}: {error}", pod.name_any()),
            }
            tokio::time::sleep(TOKEN_RETRY).await;
        }
    }
}

// === impl Keys ===

impl Keys {
    fn new(object: &str, items: &Option<Vec<KeyToPath>>, optional: Option<bool>) -> Self {
        Self { object: object.to_owned(), items: items.clone().unwrap_or_default(), optional: optional == Some(true) }
    }

    /// The files that an object makes; `None` where it, or one of its keys, is missing and must not be.
    fn files(&self, object: Option<Files>) -> Option<Files> {
        let object = match object {
            Some(object) => object,
            None if self.optional => Files::new(),
            None => return None,
        };
        if self.items.is_empty() {
            return Some(object);
        }
        let file = |item: &KeyToPath| Some((item.path.clone(), object.get(&item.key)?.clone()));
        let (files, wanted): (Files, _) = (self.items.iter().filter_map(file).collect(), self.items.len());
        (self.optional || files.len() == wanted).then_some(files)
    }
}

fn of_config_map(map: ConfigMap) -> Files {
    let texts = map.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
    texts.chain(map.binary_data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0))).collect()
}

fn of_secret(secret: Secret) -> Files {
    secret.data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0)).collect()
}

/// A token that is good for as long as the pod is there.
async fn token(client: &Client, pod: &Pod, audience: Option<&String>, seconds: i64) -> kube::Result<String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let bound = BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: pod.metadata.name.clone(),
        uid: pod.uid(),
    };
    let spec = TokenRequestSpec {
        audiences: audience.into_iter().cloned().collect(),
        bound_object_ref: Some(bound),
        expiration_seconds: Some(seconds),
    };
    let request = TokenRequest { metadata: ObjectMeta::default(), spec, status: None };
    let made = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(made.status.map(|status| status.token).unwrap_or_default())
}

/// The value of a field of the pod.
fn value(pod: &Pod, field: &str) -> Option<String> {
    match field {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.namespace(),
        "metadata.uid" => pod.uid(),
        _ => None,
    }
}

/// The states of an object without the errors between them; the watch begins again by itself.
fn settled<K: Send + 'static>(
    objects: impl Stream<Item = kube::runtime::watcher::Result<Option<K>>> + Send + 'static,
) -> BoxStream<'static, Option<K>> {
    objects.default_backoff().filter_map(|found| std::future::ready(found.ok())).boxed()
}

fn unknown(volume: &str) -> String {
    format!("the kubelet of the tests makes no volume like {volume}")
}
