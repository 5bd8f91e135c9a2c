-- For wrk: one caller reads jobs, each time another one. JOBS is a file of ids, TOKEN the caller's session.
dofile(os.getenv("ANSWERS"))
local ids = {}
for id in io.lines(os.getenv("JOBS")) do ids[#ids + 1] = id end
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
request = function() return wrk.format("GET", "/api/v1/jobs/" .. ids[math.random(#ids)]) end
