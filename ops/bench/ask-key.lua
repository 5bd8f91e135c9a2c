-- For wrk: many callers ask for keys in turn. TOKENS is a file of their sessions, MODEL the model of the keys.
dofile(os.getenv("ANSWERS"))
local tokens, number = {}, 0
for token in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = token end
wrk.headers["Content-Type"] = "application/json"
request = function()
    number = number + 1
    wrk.headers["Authorization"] = "Bearer " .. tokens[number % #tokens + 1]
    return wrk.format(
        "POST", "/api/v1/api-keys", nil,
        string.format('{"name": "bench %d", "modelIds": ["%s"]}', number, os.getenv("MODEL")))
end
