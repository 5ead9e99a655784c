//! Public prices of models, to estimate with. A definition's PRICE comes first.

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Price {
    /// In US$.
    pub usd: f64,
    /// As of when it was public; `None` = the user has said it, or it is of a
    /// model in this process.
    pub read: Option<&'static str>,
}

/// As of when the sources of the prices below had them.
const READ: &str = "2026-05";

/// By provider and model. What is not certain is left out: no price is better than a wrong one.
static PRICES: [(&str, &str, f64); 2] =
    [("openai", "text-embedding-3-small", 0.02), ("openai", "text-embedding-3-large", 0.13)];

/// The public price of a provider's model.
pub(crate) fn public(provider: &str, model: &str) -> Option<Price> {
    let known = PRICES.iter().find(|(by, of, _)| *by == provider && *of == model);
    known.map(|(_, _, usd)| Price { usd: *usd, read: Some(READ) })
}
