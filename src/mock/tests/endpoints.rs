//! The endpoints beside the stream: their documented shapes, and what they do to a stream.

use super::*;

#[test]
fn a_request_that_is_wrong_is_refused_as_documented() {
    let asked = |text: &str, request: &str| {
        in_virtual_time(async |clock| {
            let agent = Agent::new(script(text), Seed(1), clock);
            let mut io = connect(&agent);
            io.write_all(request.as_bytes()).await.expect("the pipe stands");
            let got = read(&mut io, clock).await;
            format!("{} {}", got.status(), String::from_utf8_lossy(&got.body()))
        })
    };
    let post = |headers: &str, body: &str| request("POST", "/v1/agents/a1/invoke/stream", headers, body);
    let access = "[access]\naccept = [\"good\"]\nforbid = [\"other\"]\nagents = [\"a2\"]";
    let told = [
        asked("", &post("", "{}")),
        asked("", &post("", "not json")),
        asked("", "GET / HTTP/1.1\r\nbroken header\r\n\r\n"),
        asked("", &request("GET", "/v1/agents/a1/invoke/stream", "", "")),
        asked("", &request("GET", "/nowhere", "", "")),
        asked("", "POST /v1/agents/a1/invoke/stream HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n"),
        asked(access, &post("", HI)),
        asked(access, &post("x-api-key: other\r\n", HI)),
        asked(access, &post("x-api-key: good\r\n", HI)),
        asked("[service]\nslots = 1\nqueue_max = 0\n[[fault]]\nkind = \"status\"\nstatus = 404", &post("", HI)),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    422 {"detail":[{"input":{},"loc":["body","input"],"msg":"Field required","type":"missing"}]}
    422 {"detail":[{"ctx":{"error":"expected ident"},"input":{},"loc":["body",1],"msg":"JSON decode error","type":"json_invalid"}]}
    400 Bad Request
    405 {"detail":"Method Not Allowed"}
    404 {"detail":"Not Found"}
    413 Payload Too Large
    401 {"detail":"Invalid or missing API key"}
    403 {"detail":"API key not allowed for this agent"}
    404 {"detail":"Agent not found"}
    404 {"detail":"Agent not found"}
    "#);
}

/// The text with every instant of the wall clock masked.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("20").filter(|_| rest.contains("Z\"")) {
        let (before, from) = rest.split_at(at);
        masked.push_str(before);
        let is_instant = from.len() > 27 && from.as_bytes()[10] == b'T' && from.as_bytes()[26] == b'Z';
        let width = if is_instant { 27 } else { 2 };
        masked.push_str(if is_instant { "NOW" } else { "20" });
        rest = &from[width..];
    }
    masked + rest
}

#[test]
fn each_endpoint_answers_in_its_documented_shape() {
    in_virtual_time(async |clock| {
        let agent = Agent::new(script("chunks = 1\nsub_agent = [{ name = \"helper\" }]"), Seed(1), clock);
        let mut io = connect(&agent);
        let mut ask = async |method: &str, path: &str, body: &str| {
            io.write_all(request(method, path, "", body).as_bytes()).await.expect("the pipe stands");
            read(&mut io, clock).await
        };
        let body = r#"{"input":{"text":"Hello","user":{"id":"u1","email":""}},"id":"t1"}"#;
        let sync = ask("POST", "/v1/agents/a1/invoke", body).await.json();
        assert_eq!((&sync["id"], &sync["status"]), (&Value::from("t1"), &Value::from("completed")));
        assert!(sync["result"].as_str().is_some_and(|text| text.chars().count() == 12));
        let begun = ask("POST", "/v1/agents/a2/invoke/async", HI).await.json();
        assert_eq!((&begun["status"], &begun["result"]), (&Value::from("pending"), &Value::Null));
        let id = begun["id"].as_str().expect("an id").to_owned();
        clock.sleep_until(clock.now() + NS_PER_S).await;
        assert_eq!(ask("GET", &format!("/v1/tasks/{id}"), "").await.json()["status"], "completed");
        let mut told = Vec::new();
        for (method, path) in [
            ("GET", "/health"),
            ("GET", "/v1/tasks?per_page=1&page=2"),
            ("GET", "/v1/agents/a2/tasks?status=failed"),
            ("GET", "/v1/tasks?per_page=51"),
            ("GET", "/v1/tasks?page=0"),
            ("GET", "/v1/tasks?page=x"),
            ("GET", "/v1/tasks?status=running"),
            ("GET", "/v1/tasks/unknown"),
            ("GET", "/v1/tasks/unknown/thread"),
            ("POST", "/v1/tasks/unknown/stop"),
            ("GET", "/v1/llm_providers"),
            ("GET", "/v1/llm_providers/openai/models"),
            ("GET", "/v1/llm_providers/nobody/models"),
            ("DELETE", "/v1/tasks/t1"),
            ("DELETE", "/v1/tasks/t1"),
            ("PUT", "/v1/tasks"),
        ] {
            let got = ask(method, path, "").await;
            told.push(format!("{method} {path}: {} {}", got.status(), masked(&String::from_utf8_lossy(&got.body()))));
        }
        insta::assert_snapshot!(told.join("\n"), @r#"
        GET /health: 200 "ok"
        GET /v1/tasks?per_page=1&page=2: 200 {"items":[{"agent_id":"a1","created_at":"NOW","id":"t1","organization_id":"940abe18-5490-46c5-9128-31013fd87047","parent_task_id":null,"result":"T in the tro","source_node_type":null,"status":"completed","title":null,"triggering_agent_id":null,"updated_at":"NOW","user_id":"u1"}],"page":2,"per_page":1,"total":2,"total_pages":2}
        GET /v1/agents/a2/tasks?status=failed: 200 {"items":[],"page":1,"per_page":20,"total":0,"total_pages":0}
        GET /v1/tasks?per_page=51: 422 {"detail":[{"input":"51","loc":["query","per_page"],"msg":"Input should be less than or equal to 50","type":"less_than_equal"}]}
        GET /v1/tasks?page=0: 422 {"detail":[{"input":"0","loc":["query","page"],"msg":"Input should be greater than or equal to 1","type":"greater_than_equal"}]}
        GET /v1/tasks?page=x: 422 {"detail":[{"input":"x","loc":["query","page"],"msg":"Input should be a valid integer, unable to parse string as an integer","type":"int_parsing"}]}
        GET /v1/tasks?status=running: 422 {"detail":[{"input":"running","loc":["query","status"],"msg":"Input should be 'pending', 'executing', 'paused', 'error', 'failed', 'completed' or 'stopped'","type":"enum"}]}
        GET /v1/tasks/unknown: 404 {"detail":"Task not found"}
        GET /v1/tasks/unknown/thread: 404 {"detail":"Task not found"}
        POST /v1/tasks/unknown/stop: 404 {"detail":"Task not found"}
        GET /v1/llm_providers: 200 [{"id":"openai","name":"OpenAI"},{"id":"anthropic","name":"Anthropic"},{"id":"bedrock","name":"Amazon Bedrock"}]
        GET /v1/llm_providers/openai/models: 200 [{"id":"gpt-5","name":"gpt-5","provider":"openai"},{"id":"gpt-5-mini","name":"gpt-5-mini","provider":"openai"}]
        GET /v1/llm_providers/nobody/models: 404 {"detail":"LLM provider not found"}
        DELETE /v1/tasks/t1: 204 
        DELETE /v1/tasks/t1: 404 {"detail":"Task not found"}
        PUT /v1/tasks: 405 {"detail":"Method Not Allowed"}
        "#);
    });
}

#[test]
fn threads_grow_with_the_turns() {
    in_virtual_time(async |clock| {
        let agent = Agent::new(script("chunks = 1\nsub_agent = [{ name = \"helper\" }]"), Seed(1), clock);
        let mut io = connect(&agent);
        let mut ask = async |method: &str, path: &str, body: &str| {
            io.write_all(request(method, path, "", body).as_bytes()).await.expect("the pipe stands");
            read(&mut io, clock).await
        };
        for text in ["FIRST", "SECOND"] {
            let body = format!(r#"{{"input":{{"text":"{text}"}},"id":"t1"}}"#);
            ask("POST", "/v1/agents/a1/invoke/stream", &body).await;
        }
        let thread = ask("GET", "/v1/tasks/t1/thread", "").await.json();
        let lines = thread.as_array().expect("a list").iter().map(|message| {
            assert!(message["created_at"].is_u64(), "seconds");
            format!("{} {} {}", message["id"], message["role"], message["content"])
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        "t1_user_1" "user" "FIRST"
        "t1_agent_1" "assistant" "T in the tro"
        "t1_user_2" "user" "SECOND"
        "t1_agent_2" "assistant" "e water. Sam"
        "#);
        let full = ask("GET", "/v1/tasks/t1/thread/full", "").await.json();
        assert_eq!(full["root"], thread);
        assert_eq!(full.as_object().expect("an object").len(), 3, "the root and a sub-task of each turn");
    });
}

#[test]
fn a_stopped_task_ends_its_stream_as_stopped() {
    in_virtual_time(async |clock| {
        let agent = Agent::new(script("first_chunk = \"30s\""), Seed(1), clock);
        let (mut stream, mut other) = (connect(&agent), connect(&agent));
        let body = r#"{"input":{"text":"Hi"},"id":"t1"}"#;
        let invocation = request("POST", "/v1/agents/a1/invoke/stream", "", body);
        stream.write_all(invocation.as_bytes()).await.expect("the pipe stands");
        clock.sleep_until(NS_PER_S).await;
        let stop = request("POST", "/v1/tasks/t1/stop", "", "");
        for _ in 0..2 {
            other.write_all(stop.as_bytes()).await.expect("the pipe stands");
            let stopped = read(&mut other, clock).await.json();
            assert_eq!((&stopped["status"], &stopped["is_manually_stopped"]), (&"stopped".into(), &true.into()));
        }
        let got = read(&mut stream, clock).await;
        assert_eq!(got.event("task_finished")["data"]["status"], "stopped");
        assert_eq!(clock.now(), NS_PER_S, "at once");
    });
}
