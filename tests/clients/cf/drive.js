// Drives cf-client as its documentation shows and prints what it was answered as one JSON object.
// Arguments: server, login, password. A line on standard input lets it go on after the first list.
"use strict";

const {CloudController, Events, Organizations, Spaces, UsersUAA} = require("cf-client");

const [server, login, password] = process.argv.slice(2);

async function everything(events, filter) {
    const found = [];
    let page = await events.getEvents(filter);
    found.push(...page.resources);
    for (let number = 2; page.next_url !== null; number++) {
        page = await events.getEvents({...filter, page: number});
        found.push(...page.resources);
    }
    return {total: page.total_results, guids: found.map(event => event.metadata.guid)};
}

async function main() {
    const told = {};
    const controller = new CloudController(server);
    const info = await controller.getInfo();
    told.apiVersion = info.api_version;

    const uaa = new UsersUAA(info.authorization_endpoint);
    told.refused = await uaa.login(login, "wrong").catch(body => JSON.parse(JSON.stringify(body)));
    let token = await uaa.login(login, password);
    uaa.setToken(token);
    told.user = uaa.decodeAccessToken(token).user_name;

    const events = new Events(server);
    events.setToken(token);
    told.all = await everything(events, {"results-per-page": 2});
    told.filtered = await everything(events, {
        "q": ["type IN app.crash,audit.app.update", "timestamp>2014-06-20T00:00:00Z"],
        "results-per-page": 1
    });
    told.newestFirst = await everything(events, {"order-direction": "desc"});

    const spaces = new Spaces(server);
    spaces.setToken(token);
    told.spaces = (await spaces.getSpaces()).resources.map(space => space.metadata.guid);
    const organizations = new Organizations(server);
    organizations.setToken(token);
    told.organizations =
        (await organizations.getOrganizations()).resources.map(row => row.metadata.guid);

    console.error("waiting");
    await new Promise(resolve => process.stdin.once("data", resolve));
    told.expired = await events.getEvents({}).catch(body => body);
    token = await uaa.refreshToken();
    uaa.setToken(token);
    events.setToken(token);
    told.renewed = await everything(events, {});
    console.log(JSON.stringify(told));
    process.stdin.destroy();
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
