declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  export interface Request {
    url: string;
    headers: Record<string, string>;
  }

  export interface Ui {
    preauthorizeApiKey(scheme: string, token: string): void;
    authActions: { logout(schemes: string[]): void };
  }

  export interface Options {
    domNode: HTMLElement;
    url: string;
    deepLinking?: boolean;
    displayRequestDuration?: boolean;
    requestInterceptor?(request: Request): Request | Promise<Request>;
    onComplete?(): void;
  }

  export default function SwaggerUI(options: Options): Ui;
}
