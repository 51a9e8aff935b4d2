//! The pages of a listing, one call each.

use super::super::CommandContext;
use crate::cli::CliError;
use crate::grpc::wire::{ListSessionsRequest, SessionInfo};

/// The pages that were not read yet.
pub(super) struct Pages<'c> {
    context: &'c CommandContext,
    /// The request for the next page. `None` after the last one.
    request: Option<ListSessionsRequest>,
}

impl<'c> Pages<'c> {
    /// All sessions of a subject or of the app. No page has many more than `max_page_size`.
    pub(super) fn new(
        context: &'c CommandContext,
        subject: Option<&str>,
        with_entries: bool,
        max_page_size: usize,
    ) -> Self {
        let page_size = if with_entries { PAGE_SIZE_WITH_ENTRIES } else { PAGE_SIZE };
        let request = ListSessionsRequest {
            app: context.app.clone(),
            subject: subject.unwrap_or_default().to_owned(),
            page_size: i32::try_from(max_page_size).map_or(page_size, |max| page_size.min(max)),
            page_token: String::new(),
            with_entries,
        };
        Self { context, request: Some(request) }
    }

    /// Reads the next page, which may be empty. `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<SessionInfo>>, CliError> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let this = request.clone();
        let page = self.context.admin.call(async |mut client| client.list_sessions(this).await).await?;
        if !page.next_page_token.is_empty() {
            self.request = Some(ListSessionsRequest { page_token: page.next_page_token, ..request });
        }
        Ok(Some(page.sessions))
    }
}

const PAGE_SIZE: i32 = 1000;

/// A session may hold 1 MiB.
const PAGE_SIZE_WITH_ENTRIES: i32 = 50;
