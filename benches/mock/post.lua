-- What wrk sends: an invocation with a prompt.
wrk.method = "POST"
wrk.body = '{"input":{"text":"Hello"}}'
wrk.headers["Content-Type"] = "application/json"
