//! Acknowledged saves a second of the embedded store itself, with many tasks at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use cloakroom::store::{Applied, Created, Embedded, EmbeddedSettings, Error, Store as _};
use cloakroom::types::AppName;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::{Result, print, sessions};

#[derive(Debug, Args)]
pub(crate) struct EmbeddedSaves {
    /// A folder without a store, on the disk to measure
    #[arg(long)]
    path: PathBuf,
    #[arg(long)]
    sessions: u64,
    /// Bytes of each session
    #[arg(long)]
    bytes: usize,
    /// Tasks that save at once
    #[arg(long)]
    writers: u64,
    #[arg(long)]
    seconds: f64,
}

impl EmbeddedSaves {
    pub(crate) fn run(&self) -> Result {
        let settings = EmbeddedSettings { path: self.path.clone(), ..EmbeddedSettings::default() };
        let store = Arc::new(Embedded::open(&settings)?);
        let app = AppName::parse(AppName::DEFAULT)?;
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            self.fill(&store, &app).await?;
            let begin = Instant::now();
            let saves = self.save(&store, &app).await?;
            let rate = saves as f64 / begin.elapsed().as_secs_f64();
            print(&serde_json::json!({ "writers": self.writers, "saves": saves, "rate": rate }));
            Ok(())
        })
    }

    async fn fill(&self, store: &Arc<Embedded>, app: &AppName) -> Result {
        let mut creations = JoinSet::new();
        for number in 0..self.sessions {
            let (store, key, record) = (Arc::clone(store), sessions::key(app, number), sessions::record(self.bytes));
            creations.spawn(async move { store.create(&key, &record).await });
        }
        for created in creations.join_all().await {
            if created? != Created::Stored {
                return Err("the folder has sessions already".into());
            }
        }
        Ok(())
    }

    /// Saves until the time is over, each task to sessions of its own. Returns the number of acknowledged saves.
    async fn save(&self, store: &Arc<Embedded>, app: &AppName) -> Result<u64> {
        let end = Instant::now() + Duration::from_secs_f64(self.seconds);
        let write = sessions::save(self.bytes)?;
        let mut writers = JoinSet::new();
        for writer in 0..self.writers {
            let (store, app, write) = (Arc::clone(store), app.clone(), write.clone());
            let (count, step) = (self.sessions, self.writers);
            writers.spawn(async move {
                let (mut saves, mut number) = (0, writer % count);
                while Instant::now() < end {
                    let applied = store.apply(&sessions::key(&app, number), &sessions::precondition(), &write).await?;
                    saves += u64::from(matches!(applied, Applied::Done(_)));
                    number = (number + step) % count;
                }
                Ok::<_, Error>(saves)
            });
        }
        let saves = writers.join_all().await.into_iter().collect::<Result<Vec<u64>, _>>()?;
        Ok(saves.iter().sum())
    }
}
