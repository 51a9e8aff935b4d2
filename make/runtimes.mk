# The runtimes that tests start besides the system's Node: Deno, Bun, and the newest Node. All are packages of npm.

DENO := .tools/deno/2.9.6.installed
BUN := .tools/bun/1.4.5.installed
NEWEST_NODE := .tools/node-26/26.12.1.installed
NODE_PACKAGE := node-linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)

web-deps: $(DENO) $(BUN)

kit-packages: $(DENO) $(BUN) $(NEWEST_NODE)

test-node: $(NEWEST_NODE)

$(DENO): package := deno
$(DENO): program := @deno/*/deno
$(BUN): package := bun
$(BUN): program := @oven/*/bin/bun
$(NEWEST_NODE): package := $(NODE_PACKAGE)
$(NEWEST_NODE): program := $(NODE_PACKAGE)/bin/node

# Without the scripts of the packages: that of Deno would put a copy of the program into another folder.
$(DENO) $(BUN) $(NEWEST_NODE): .tools/%.installed:
	@$(call apt,npm)
	npm install --prefix $(@D) --no-save --ignore-scripts --no-audit --no-fund $(package)@$(*F)
	mkdir -p .tools/bin
	cd .tools/bin && ln -sf ../$(*D)/node_modules/$(program) $(*D)
	touch $@
