//! What other systems read while rpcscope runs: spans and metrics for OpenTelemetry, and a page for Prometheus.
//!
//! | module | for |
//! | --- | --- |
//! | [`convention`] | the names by which OpenTelemetry knows what a call record says |
//! | [`histogram`] | how long calls took, counted in buckets |
//! | `otlp` | `--otlp`: spans and metrics, and the thread that sends them; with the feature `otlp` |
//! | [`scrape`] | `--metrics`: the page for Prometheus, and the thread that serves it |

pub mod convention;
pub mod histogram;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod scrape;
