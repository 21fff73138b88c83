// Lets go-cfclient, version 3 and its predecessor, ask a server for events and for what leads to
// them, and prints what they understood as one JSON object.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	cfclient "github.com/cloudfoundry-community/go-cfclient"
	"github.com/cloudfoundry/go-cfclient/v3/client"
	"github.com/cloudfoundry/go-cfclient/v3/config"
)

type answers map[string]any

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func main() {
	address, login, password := os.Args[1], os.Args[2], os.Args[3]
	told := answers{}
	version3(told, address, login, password)
	version2(told, address, login, password)
	check("print", json.NewEncoder(os.Stdout).Encode(told))
}

func version3(told answers, address, login, password string) {
	ctx := context.Background()
	_, err := config.New(address, config.UserPassword(login, "wrong"))
	told["refused"] = fmt.Sprint(err)

	known, err := config.New(address, config.UserPassword(login, password))
	check("configure", err)
	cf, err := client.New(known)
	check("connect", err)

	options := client.NewAuditEventListOptions()
	options.PerPage = 2
	told["all"] = auditEvents(ctx, cf, options)

	options = client.NewAuditEventListOptions()
	options.OrderBy = "-created_at"
	told["newest first"] = auditEvents(ctx, cf, options)

	options = client.NewAuditEventListOptions()
	options.Types = client.Filter{Values: []string{"app.crash", "audit.app.stop"}}
	options.SpaceGUIDs = client.Filter{Values: []string{"space-1"}}
	told["filtered"] = auditEvents(ctx, cf, options)

	options = client.NewAuditEventListOptions()
	options.TargetGUIDs = client.ExclusionFilter{Filter: client.Filter{Values: []string{"app-0"}}, Not: true}
	told["without"] = auditEvents(ctx, cf, options)

	event, err := cf.AuditEvents.Get(ctx, "event-3")
	check("get an event", err)
	told["one"] = []string{event.GUID, event.Type, event.Target.GUID, event.CreatedAt.Format("2006-01-02")}
	_, err = cf.AuditEvents.Get(ctx, "nope")
	told["unknown"] = fmt.Sprint(err)

	organizations, err := cf.Organizations.ListAll(ctx, nil)
	check("list organizations", err)
	names := []string{}
	for _, one := range organizations {
		names = append(names, one.Name)
	}
	told["organizations"] = names

	spaces, err := cf.Spaces.ListAll(ctx, nil)
	check("list spaces", err)
	names = []string{}
	for _, one := range spaces {
		names = append(names, one.Name+" in "+one.Relationships.Organization.Data.GUID)
	}
	told["spaces"] = names

	wanted := client.NewAppListOptions()
	wanted.Names = client.Filter{Values: []string{"shop"}}
	wanted.SpaceGUIDs = client.Filter{Values: []string{"space-1"}}
	apps, err := cf.Applications.ListAll(ctx, wanted)
	check("list apps", err)
	names = []string{}
	for _, one := range apps {
		names = append(names, fmt.Sprint(one.GUID, " ", one.State, " ", one.Lifecycle.Type, " ", one.CreatedAt.Year()))
	}
	told["apps"] = names

	processes, err := cf.Processes.ListAll(ctx, nil)
	check("list processes", err)
	users, err := cf.Users.ListAll(ctx, nil)
	check("list users", err)
	domains, err := cf.Domains.ListAll(ctx, nil)
	check("list domains", err)
	routes, err := cf.Routes.ListAll(ctx, nil)
	check("list routes", err)
	told["empty"] = len(processes) + len(users) + len(domains) + len(routes)
}

func auditEvents(ctx context.Context, cf *client.Client, options *client.AuditEventListOptions) []string {
	events, err := cf.AuditEvents.ListAll(ctx, options)
	check("list audit events", err)
	guids := []string{}
	for _, event := range events {
		guids = append(guids, event.GUID)
	}
	return guids
}

func version2(told answers, address, login, password string) {
	cf, err := cfclient.NewClient(&cfclient.Config{ApiAddress: address, Username: login, Password: password})
	check("connect with version 2", err)
	events, err := cf.ListEvents()
	check("list events", err)
	told["v2 all"] = guidsOf(events)
	events, err = cf.ListEventsByQuery(url.Values{
		"q":                {"type IN app.crash,audit.app.stop", "actee:app-1"},
		"results-per-page": {"1"},
	})
	check("list events by query", err)
	told["v2 filtered"] = guidsOf(events)
	total, err := cf.TotalEvents()
	check("count events", err)
	told["v2 total"] = total
	organization, err := cf.GetOrgByName("acme")
	check("find an organization", err)
	space, err := cf.GetSpaceByName("prod", organization.Guid)
	check("find a space", err)
	app, err := cf.AppByName("shop", space.Guid, organization.Guid)
	check("find an app", err)
	told["v2 place"] = []string{organization.Guid, space.Guid, app.Guid}
}

func guidsOf(events []cfclient.Event) []string {
	guids := []string{}
	for _, event := range events {
		guids = append(guids, event.GUID)
	}
	return guids
}
