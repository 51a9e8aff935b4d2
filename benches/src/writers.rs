//! Acknowledged saves a second at the embedded store itself: what many callers at once make of one disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use cloakroom::store::{Applied, Created, Embedded, EmbeddedSettings, Error, Store as _};
use cloakroom::types::AppName;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::{Outcome, kept, tell};

#[derive(Debug, Args)]
pub(crate) struct Writers {
    /// A folder on the disk that is meant, where no store is yet
    #[arg(long)]
    path: PathBuf,
    #[arg(long)]
    sessions: u64,
    /// Of each session
    #[arg(long)]
    bytes: usize,
    /// Writers at once
    #[arg(long)]
    writers: u64,
    #[arg(long)]
    seconds: f64,
}

impl Writers {
    pub(crate) fn run(&self) -> Outcome {
        let settings = EmbeddedSettings { path: self.path.clone(), ..EmbeddedSettings::default() };
        let store = Arc::new(Embedded::open(&settings)?);
        let app = AppName::parse(AppName::DEFAULT)?;
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            self.fill(&store, &app).await?;
            let begin = Instant::now();
            let saves = self.save(&store, &app).await?;
            let rate = saves as f64 / begin.elapsed().as_secs_f64();
            tell(&serde_json::json!({ "writers": self.writers, "saves": saves, "rate": rate }));
            Ok(())
        })
    }

    async fn fill(&self, store: &Arc<Embedded>, app: &AppName) -> Outcome {
        let mut creations = JoinSet::new();
        for number in 0..self.sessions {
            let (store, place, record) = (Arc::clone(store), kept::place(app, number), kept::record(self.bytes));
            creations.spawn(async move { store.create(&place, &record).await });
        }
        for created in creations.join_all().await {
            if created? != Created::Stored {
                return Err("there are sessions already".into());
            }
        }
        Ok(())
    }

    /// Every writer has sessions of its own, one after the other; answers how many saves were acknowledged.
    async fn save(
        &self,
        store: &Arc<Embedded>,
        app: &AppName,
    ) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let end = Instant::now() + Duration::from_secs_f64(self.seconds);
        let write = kept::save(self.bytes)?;
        let mut writers = JoinSet::new();
        for writer in 0..self.writers {
            let (store, app, write) = (Arc::clone(store), app.clone(), write.clone());
            let (sessions, step) = (self.sessions, self.writers);
            writers.spawn(async move {
                let (mut saves, mut number) = (0, writer % sessions);
                while Instant::now() < end {
                    let applied = store.apply(&kept::place(&app, number), &kept::precondition(), &write).await?;
                    saves += u64::from(matches!(applied, Applied::Done(_)));
                    number = (number + step) % sessions;
                }
                Ok::<_, Error>(saves)
            });
        }
        let saves = writers.join_all().await.into_iter().collect::<Result<Vec<u64>, _>>()?;
        Ok(saves.iter().sum())
    }
}
