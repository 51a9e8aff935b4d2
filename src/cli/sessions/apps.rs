//! `cloakroom sessions apps`: lists the apps of the service.

use clap::Args;
use serde_json::json;

use super::admin::CallError;
use super::{CommandContext, OutputFormat, json, text};
use crate::cli::{CliError, output};
use crate::grpc::wire::{GetAppPolicyResponse, ListAppsRequest};

#[derive(Debug, Args)]
pub(super) struct AppsArgs {}

impl AppsArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        for app in list(context).await? {
            output::print(&match context.format {
                OutputFormat::Text => text::printable(&app.app),
                OutputFormat::Json => json::line(&json!({ "app": app.app, "kind": kind(&app) })),
            })?;
        }
        Ok(())
    }
}

/// Returns the policies of the apps that the caller may use.
pub(super) async fn list(context: &CommandContext) -> Result<Vec<GetAppPolicyResponse>, CallError> {
    let response = context.admin.call(async |mut client| client.list_apps(ListAppsRequest {}).await).await?;
    Ok(response.apps.into_iter().filter_map(|app| app.policy).collect())
}

fn kind(app: &GetAppPolicyResponse) -> &'static str {
    app.kind().as_str_name().strip_prefix("APP_KIND_").unwrap_or_default()
}
