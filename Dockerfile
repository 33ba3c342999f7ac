# Two images. `gateway`, the last one: one gateway, as a user without rights. `operate`: the same build with an nginx to
# test configurations with, for `ringside groups`. Settings are environment variables (docs/settings.md). In a container
# HOST must be 0.0.0.0 to be reached, and then a token key is needed.

FROM node:22.20.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --include=dev --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY tools ./tools
COPY pages ./pages
COPY src ./src
RUN npm run build

FROM node:22.20.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:22.20.0-bookworm-slim AS runtime
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY pages ./pages

FROM runtime AS operate
RUN apt-get update \
  && apt-get install -y --no-install-recommends nginx-light \
  && rm -rf /var/lib/apt/lists/*
# Root: it writes into the operator's folder, and signals an nginx of another user.
ENTRYPOINT ["node", "dist/cli.js", "groups"]

FROM runtime AS gateway
USER node
EXPOSE 8080
# Ready, and not merely alive: who depends on it waits until it can serve. Nothing is restarted for being unhealthy.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=1s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.ADMIN_PORT || 9080) + '/readyz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Not through npm, so that the process gets its signals itself.
CMD ["node", "dist/main.js"]
