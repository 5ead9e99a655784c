//! What an embedder is asked to be, whoever asks: the settings or a definition. Here it takes what
//! was left open from its provider.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::embed::config::{EmbedderConfig, Provider};
use crate::embed::http::endpoint::Endpoint;
use crate::embed::http::key::KeySource;
use crate::embed::provider::price::{self, Price};
use crate::embed::provider::{Auth, InputTypeField, Preset, Protocol};
use crate::error::Error;
use crate::fill::port::settings::{BatchLimits, LaneLimits, LaneSettings, Overlong};

/// The value for a service that has no field for the number of dimensions.
const NO_FIELD: &str = "none";

/// An embedder as it is asked for. `None` = as the provider has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// Who computes.
    pub provider: Provider,
    /// The model's name, or the directory of a local one.
    pub model: Option<String>,
    /// The model for queries; `None` = the same.
    pub query_model: Option<String>,
    /// Where the service is.
    pub endpoint: Option<Endpoint>,
    /// The file that holds the key.
    pub key_file: Option<String>,
    /// The variable that holds the key; empty = send no key.
    pub key_env: Option<String>,
    /// The length of vectors to ask for; `None` = the model's own.
    pub dimensions: Option<NonZeroUsize>,
    /// Prepended to the texts of entities.
    pub document_prefix: String,
    /// Prepended to queries.
    pub query_prefix: String,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// How it differs from the provider's protocol.
    pub protocol: Changes,
    /// What one request may hold, where the provider takes more.
    pub batch: BatchLimits,
    /// How many requests there may be; a local model has its own.
    pub limits: LaneLimits,
    /// What to do with a text that is too long for the service.
    pub overlong: Overlong,
    /// What its tokens cost.
    pub cost: Cost,
}

/// What tokens cost, and how many may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Cost {
    /// US$ for a million tokens.
    pub price: Option<f64>,
    /// Tokens a day.
    pub budget: Option<u64>,
}

/// How a service differs from its provider's protocol.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Changes {
    /// The path below the address; empty = the provider's.
    pub path: String,
    /// How the key is sent.
    pub auth: Option<Auth>,
    /// The field for the number of dimensions, or `none`; empty = the provider's.
    pub dimensions_field: String,
    /// How documents are told from queries.
    pub input_type: Option<InputTypeField>,
    /// Fields to add to every body.
    pub extra: Map<String, Value>,
    /// `false` = never ask for base64.
    pub base64: bool,
}

/// What all embedders have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    /// Threads of a local model.
    pub threads: NonZeroUsize,
    /// Number of query embeddings that are cached.
    pub query_cache: usize,
    /// Attempts per batch in one pass.
    pub max_attempts: u32,
}

impl Wanted {
    /// Everything that decides which vectors come back.
    pub(crate) fn config(&self, common: Common) -> EmbedderConfig {
        let own = |text: fn(&Preset) -> &'static str| self.preset().map(text).unwrap_or_default();
        let variable = self.key_env.clone().unwrap_or_else(|| own(|p| p.key_env).to_owned());
        EmbedderConfig {
            provider: self.provider,
            protocol: self.protocol.apply(self.preset()),
            endpoint: self.endpoint.clone().or_else(|| self.own_endpoint()),
            model: self.model.clone().unwrap_or_else(|| own(|p| p.model).to_owned()),
            query_model: self.query_model.clone(),
            dimensions: self.dimensions,
            document_prefix: self.document_prefix.clone(),
            query_prefix: self.query_prefix.clone(),
            key: KeySource {
                file: self.key_file.clone().filter(|path| !path.is_empty()),
                variable: Some(variable).filter(|name| !name.is_empty()),
            },
            timeout: self.timeout,
            threads: common.threads,
        }
    }

    /// How it is used.
    pub(crate) fn lane(&self, common: Common) -> LaneSettings {
        LaneSettings {
            batch: self.batch(),
            limits: self.limits(common),
            query_cache: common.query_cache,
            max_attempts: common.max_attempts,
            overlong: self.overlong,
            dimensions: self.dimensions.map(NonZeroUsize::get),
        }
    }

    /// What its tokens cost, as far as that is known. A public price holds at the provider's own
    /// address only: others speak the same protocol.
    pub(crate) fn price(&self) -> Option<Price> {
        if let Some(usd) = self.cost.price {
            return Some(Price { usd, read: None });
        }
        let Some(preset) = self.preset() else { return Some(Price { usd: 0.0, read: None }) };
        let model = self.model.as_deref().unwrap_or(preset.model);
        let elsewhere = self.endpoint.is_some() && self.endpoint != self.own_endpoint();
        price::public(preset.name, model).filter(|_| !elsewhere)
    }

    /// The smaller of the limits asked for and those the provider is known to have.
    fn batch(&self) -> BatchLimits {
        let most = self.preset().map(|preset| (preset.max_texts, preset.max_tokens));
        let (texts, tokens) = most.unwrap_or((usize::MAX, usize::MAX));
        BatchLimits { texts: self.batch.texts.min(texts), tokens: self.batch.tokens.min(tokens) }
    }

    fn limits(&self, common: Common) -> LaneLimits {
        match self.provider {
            Provider::Service(_) => self.limits,
            // One batch more than threads keeps every thread busy; more would only queue. Queries
            // have a thread of their own, plus one query waiting for it.
            Provider::Local => {
                LaneLimits { concurrency: common.threads.get() + 1, extra: 2, ..self.limits }
            }
        }
    }

    /// What the provider leaves open, and nobody has said.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        let Some(preset) = self.preset() else {
            let lacks = "a local model needs MODEL and the directory it is in";
            return self.model.is_none().then_some(lacks);
        };
        if self.model.is_none() && preset.model.is_empty() {
            return Some("this provider needs MODEL and its name");
        }
        let placed = self.endpoint.is_some() || !preset.base_url.is_empty();
        (!placed).then_some("this provider needs URL and the address of the service")
    }

    fn own_endpoint(&self) -> Option<Endpoint> {
        let url = self.preset().map(|preset| preset.base_url).filter(|url| !url.is_empty())?;
        let parsed: Result<Endpoint, Error> = Endpoint::parse("base-url", url);
        debug_assert!(parsed.is_ok(), "{url}");
        parsed.ok()
    }

    fn preset(&self) -> Option<&'static Preset> {
        match self.provider {
            Provider::Service(preset) => Some(preset),
            Provider::Local => None,
        }
    }
}

impl Changes {
    fn apply(&self, preset: Option<&Preset>) -> Protocol {
        let mut protocol = preset.map(|preset| (preset.protocol)()).unwrap_or_default();
        if !self.path.is_empty() {
            protocol.path.clone_from(&self.path);
        }
        if let Some(auth) = &self.auth {
            protocol.auth = auth.clone();
        }
        if !self.dimensions_field.is_empty() {
            let field = Some(self.dimensions_field.clone());
            protocol.dimensions_field = field.filter(|field| field != NO_FIELD);
        }
        if let Some(input_type) = &self.input_type {
            protocol.input_type = Some(input_type.clone());
        }
        protocol.extra.extend(self.extra.clone());
        protocol.base64 &= self.base64;
        protocol
    }
}
