//! A process that may open no more files.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::Command;

use tokio::net::TcpSocket;
use tonic::Code;

use super::support::client::Client;
use super::support::test_server::{TestServer, ms, settings, soon};

#[test]
fn accepting_pauses_while_files_run_out_and_goes_on_afterwards() {
    let script = "ulimit -n 64; exec \"$0\" --ignored --exact --nocapture server::file_limit::with_few_files";
    let tests = std::env::current_exe().unwrap();

    let child = Command::new("sh").arg("-c").arg(script).arg(tests).output().unwrap();

    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{child:?}");
}

#[tokio::test]
#[ignore = "needs a process of its own that may open few files; the test above starts it"]
async fn with_few_files() {
    let server = TestServer::open(&settings()).await;
    // It has started once it answers. Kept: a connection that closes would give two files back.
    let client = server.client().await;
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
    let mut cpu = Cpu(File::open("/proc/self/stat").unwrap());
    let mut files: Vec<_> = std::iter::from_fn(|| TcpSocket::new_v4().ok()).collect();
    let one = files.pop().unwrap();
    // The server cannot accept it: this socket was the last file.
    let waiting = soon(one.connect(server.address())).await.unwrap();

    let mut windows = Vec::new();
    for _ in 0..10 {
        let before = cpu.ticks();
        tokio::time::sleep(ms(100)).await;
        windows.push(cpu.ticks() - before);
    }
    drop(files);

    // A busy loop uses 10 hundredths of a second in every window. On a busy machine some cost more than was done in them.
    assert!(windows.iter().any(|used| *used < 3), "{windows:?}");
    assert_eq!(client.call("Echo").await.code(), Code::Ok);
    assert_eq!(Client::over(waiting).await.call("Echo").await.code(), Code::Ok);
}

/// What the process has used of the processor. Opened beforehand: reading must not need another file.
struct Cpu(File);

impl Cpu {
    fn ticks(&mut self) -> u64 {
        let mut text = String::new();
        self.0.rewind().unwrap();
        self.0.read_to_string(&mut text).unwrap();
        // utime and stime are the 14th and 15th field; the name before them may hold anything but this.
        let (_, fields) = text.rsplit_once(") ").unwrap();
        fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
    }
}
