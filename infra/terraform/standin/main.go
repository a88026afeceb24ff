// Command standin answers for the Google provider where that cannot be had: it serves the schema in
// schema.json, so that `tofu validate` checks every argument's name and type and `tofu test`, with
// mock_provider, evaluates the whole configuration. It reaches no cloud and creates nothing.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"log"
	"sort"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed schema.json
var document []byte

type attribute struct {
	Type string `json:"type"`
	Mode string `json:"mode"`
}

type block struct {
	Attributes map[string]attribute `json:"attributes"`
	Blocks     map[string]block     `json:"blocks"`
	Nesting    string               `json:"nesting"`
	Min        int64                `json:"min"`
	Max        int64                `json:"max"`
}

type catalogue struct {
	Resource map[string]block `json:"resource"`
	Data     map[string]block `json:"data"`
}

var simple = map[string]tftypes.Type{
	"string": tftypes.String, "number": tftypes.Number, "bool": tftypes.Bool,
	"dynamic": tftypes.DynamicPseudoType,
}

// typeOf reads a type such as "string" or "list(string)".
func typeOf(name string) tftypes.Type {
	if known, ok := simple[name]; ok {
		return known
	}
	outer, inner, _ := strings.Cut(strings.TrimSuffix(name, ")"), "(")
	switch outer {
	case "list":
		return tftypes.List{ElementType: typeOf(inner)}
	case "set":
		return tftypes.Set{ElementType: typeOf(inner)}
	case "map":
		return tftypes.Map{ElementType: typeOf(inner)}
	}
	log.Fatalf("schema.json: unknown type %q", name)
	return nil
}

func names[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

var nestings = map[string]tfprotov5.SchemaNestedBlockNestingMode{
	"list":   tfprotov5.SchemaNestedBlockNestingModeList,
	"set":    tfprotov5.SchemaNestedBlockNestingModeSet,
	"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
	"struct": tfprotov5.SchemaNestedBlockNestingModeList,
}

func (b block) proto() *tfprotov5.SchemaBlock {
	made := &tfprotov5.SchemaBlock{}
	for _, name := range names(b.Attributes) {
		a := b.Attributes[name]
		made.Attributes = append(made.Attributes, &tfprotov5.SchemaAttribute{
			Name:     name,
			Type:     typeOf(a.Type),
			Required: a.Mode == "required",
			Optional: strings.HasPrefix(a.Mode, "optional"),
			Computed: strings.HasSuffix(a.Mode, "computed"),
		})
	}
	for _, name := range names(b.Blocks) {
		nested := b.Blocks[name]
		made.BlockTypes = append(made.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Block: nested.proto(), Nesting: nestings[nested.Nesting],
			MinItems: nested.Min, MaxItems: nested.Max,
		})
	}
	return made
}

// provider refuses by its embedded nil interface whatever validation and mocked tests do not call.
type provider struct {
	tfprotov5.ProviderServer
	catalogue catalogue
}

func (p provider) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	made := &tfprotov5.GetMetadataResponse{ServerCapabilities: &tfprotov5.ServerCapabilities{}}
	for _, name := range names(p.catalogue.Resource) {
		made.Resources = append(made.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for _, name := range names(p.catalogue.Data) {
		made.DataSources = append(made.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return made, nil
}

func (p provider) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	settings := block{Attributes: map[string]attribute{
		"billing_project":       {"string", "optional"},
		"default_labels":        {"map(string)", "optional"},
		"project":               {"string", "optional"},
		"region":                {"string", "optional"},
		"user_project_override": {"bool", "optional"},
	}}
	made := &tfprotov5.GetProviderSchemaResponse{
		ServerCapabilities: &tfprotov5.ServerCapabilities{},
		Provider:           &tfprotov5.Schema{Block: settings.proto()},
		ResourceSchemas:    map[string]*tfprotov5.Schema{},
		DataSourceSchemas:  map[string]*tfprotov5.Schema{},
	}
	for name, found := range p.catalogue.Resource {
		made.ResourceSchemas[name] = &tfprotov5.Schema{Block: found.proto()}
	}
	for name, found := range p.catalogue.Data {
		made.DataSourceSchemas[name] = &tfprotov5.Schema{Block: found.proto()}
	}
	return made, nil
}

func (p provider) PrepareProviderConfig(_ context.Context, asked *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (p provider) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (p provider) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

// UpgradeResourceState hands a mocked state back as it is: there is one version of it.
func (p provider) UpgradeResourceState(_ context.Context, asked *tfprotov5.UpgradeResourceStateRequest) (*tfprotov5.UpgradeResourceStateResponse, error) {
	schema := &tfprotov5.Schema{Block: p.catalogue.Resource[asked.TypeName].proto()}
	state, err := asked.RawState.Unmarshal(schema.ValueType())
	if err != nil {
		return nil, err
	}
	upgraded, err := tfprotov5.NewDynamicValue(schema.ValueType(), state)
	if err != nil {
		return nil, err
	}
	return &tfprotov5.UpgradeResourceStateResponse{UpgradedState: &upgraded}, nil
}

func (p provider) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func main() {
	var read catalogue
	if err := json.Unmarshal(document, &read); err != nil {
		log.Fatalf("schema.json: %v", err)
	}
	serve := func() tfprotov5.ProviderServer { return provider{catalogue: read} }
	if err := tf5server.Serve("platewise.local/hashicorp/google", serve); err != nil {
		log.Fatal(err)
	}
}
